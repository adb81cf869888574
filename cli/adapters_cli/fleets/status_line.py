"""The totals of a fleet in one line, and how a command shows them while it waits."""

from rich.console import Console
from rich.live import Live
from rich.text import Text

from adapter_fleet.common.counts import counted
from adapters_cli.fleets.adapter_states import StateGroup
from adapters_cli.fleets.fleet_status import FleetStatus, manifest_to_come_note
from adapters_cli.output.text import duration, few, one_line, print_note, printable

_SHOWN_EVERY_SECONDS = 5.0


def totals(status: FleetStatus) -> str:
    """Return the numbers of adapters by their states, in one line."""
    counts = status.counts
    orphans = counts[StateGroup.ORPHAN]
    return (
        f"{status.fleet.name}: generation {status.newest.number} {status.newest.outcome},"
        f" {counted(sum(counts.values()) - orphans, 'adapter')}: {counts[StateGroup.IN_SERVICE]} in service,"
        f" {counts[StateGroup.PENDING]} pending, {counts[StateGroup.FAILED]} failed"
        + (f", {counted(orphans, 'orphan')}" if orphans else "")
    )


def _waits_for(status: FleetStatus) -> str:
    """Return the adapters that are not settled, with the reason of the first one; empty without one."""
    waiting = [adapter for adapter in status.adapters if not adapter.settled]
    if not waiting:
        return ""
    first = waiting[0]
    left = "" if first.until is None else f" (for {duration(first.until - status.at)})"
    reason = one_line("; ".join(filter(None, (first.state, first.reason))))
    return f"; waits for {few([adapter.name for adapter in waiting])}: {reason}{left}"


class StatusLine:
    """Shows the totals, the trouble of a fleet and what it waits for on standard error.

    On a terminal the line is replaced in place. Elsewhere it is written when the totals or the trouble have
    changed, and every five seconds.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._last, self._shown_at = "", 0.0
        if self._console.is_terminal:
            self._live.start()

    def show(self, status: FleetStatus) -> None:
        """Show the line if there is something new, or if it is long ago."""
        line = totals(status)
        if status.manifest_to_come is not None:
            line = f"{line}; {manifest_to_come_note(status.manifest_to_come)}"
        if status.fleet.trouble is not None:
            line = f"{line}; {one_line(status.fleet.trouble)}"
        text = printable(f"{line}{_waits_for(status)}")
        if self._console.is_terminal:
            self._live.update(Text(text), refresh=True)
        elif line != self._last or status.at - self._shown_at >= _SHOWN_EVERY_SECONDS:
            self._last, self._shown_at = line, status.at
            print_note(text)

    def end(self) -> None:
        """Remove the line from the terminal."""
        if self._console.is_terminal:
            self._live.stop()
