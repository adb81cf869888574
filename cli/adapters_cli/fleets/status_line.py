"""The totals of a fleet in one line, and how a command shows them while it waits."""

from rich.console import Console
from rich.live import Live
from rich.text import Text

from adapter_fleet.common.counts import counted
from adapters_cli.fleets.adapter_states import StateGroup
from adapters_cli.fleets.fleet_status import FleetStatus, manifest_to_come_note
from adapters_cli.output.text import one_line, print_note, printable


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


class StatusLine:
    """Shows the totals and the trouble of a fleet on standard error, each time they change.

    On a terminal the line is replaced in place.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._last = ""
        if self._console.is_terminal:
            self._live.start()

    def show(self, status: FleetStatus) -> None:
        """Show the totals if they have changed."""
        line = totals(status)
        if status.manifest_to_come is not None:
            line = f"{line}; {manifest_to_come_note(status.manifest_to_come)}"
        if status.fleet.trouble is not None:
            line = f"{line}; {one_line(status.fleet.trouble)}"
        if line == self._last:
            return
        self._last = line
        if self._console.is_terminal:
            self._live.update(Text(printable(line)), refresh=True)
        else:
            print_note(line)

    def end(self) -> None:
        """Remove the line from the terminal."""
        if self._console.is_terminal:
            self._live.stop()
