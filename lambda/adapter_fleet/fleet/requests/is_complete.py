"""The answer to CloudFormation's `is_complete`: whether an event's generation is done, and how it ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapter_fleet.common.bounded_text import bounded
from adapter_fleet.common.clock import Clock
from adapter_fleet.common.counts import counted, noun_of
from adapter_fleet.fleet.state.configuration import MAX_PASS_SECONDS, STALLED_SECONDS, STANDSTILL_PASSES
from adapter_fleet.fleet.state.generations import Generation, Outcome, Source
from adapter_fleet.fleet.state.records import FleetRecord
from adapter_fleet.fleet.state.registry import Registry

MAX_ERROR_BYTES = 1500
MAX_SUMMARY_BYTES = 2500
"""A response to CloudFormation may have 4,096 bytes in all, as JSON."""


class FleetError(Exception):
    """The fleet cannot become what was requested. CloudFormation shows the message, cut to what it takes."""

    def __init__(self, message: str) -> None:
        super().__init__(bounded(message, MAX_ERROR_BYTES))


@dataclass(frozen=True, kw_only=True)
class Completion:
    """Looks up how far the generation of an event is. Starts the state machine again if it has stalled."""

    registry: Registry
    clock: Clock
    start_machine: Callable[[str, str], None]

    def of(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response to an event's `is_complete`. Raises FleetError if the generation has failed."""
        number = int(event["Generation"])
        requested, fleet = self.registry.generations.find(number), self.registry.fleet()
        if requested is None or fleet is None:
            if event["RequestType"] == "Delete":
                return {"IsComplete": True}
            raise FleetError(f"the registry has lost generation {number}; deploy again")
        generation = self._successor(requested)
        if generation.outcome is Outcome.CONVERGED:
            return _complete(generation)
        if generation.outcome is not Outcome.OPEN and not self._goes_on(generation):
            if requested.undo:  # CloudFormation could not do anything about a failure
                return _complete(generation, undo=True)
            raise FleetError(generation.reason or f"generation {number} is {generation.outcome}")
        now = self.clock.now()
        if now - max(fleet.heartbeat, generation.request.at) > STALLED_SECONDS:
            self.start_machine("deployment", f"{generation.number}-again-{int(now / STALLED_SECONDS)}")
        if now - requested.request.at < requested.request.target.settings.timeout_seconds:
            return {"IsComplete": False}
        return self._timed_out(requested, generation, standstill=self._standstill(generation, fleet))

    # --- which generation

    def _successor(self, generation: Generation) -> Generation:
        """Return the generation that now does what this one was asked for.

        A manifest from S3 that comes during a deployment makes another generation with the same target. The
        undo of such a manifest does, too.
        """
        while generation.outcome is Outcome.SUPERSEDED or (
            generation.outcome is Outcome.FAILED and generation.request.source is Source.OBJECT
        ):
            following = self._following(generation)
            if following is None or following.request.source not in (Source.OBJECT, Source.UNDO):
                break
            generation = following
        return generation

    def _following(self, generation: Generation) -> Generation | None:
        """Return the next generation that was not refused."""
        following = self.registry.generations.find(generation.number + 1)
        while following is not None and following.outcome is Outcome.REFUSED:
            following = self.registry.generations.find(following.number + 1)
        return following

    def _goes_on(self, generation: Generation) -> bool:
        """Return True if a generation that has ended is about to be opened again, or undone."""
        if self._following(generation) is not None:
            return False
        if generation.outcome is Outcome.SUPERSEDED:
            return True  # the generation that superseded it was refused
        return (
            generation.outcome is Outcome.FAILED
            and self.registry.lineage.restored_by_undo(generation) is not None
        )

    # --- after the timeout

    def _timed_out(
        self, requested: Generation, generation: Generation, *, standstill: str | None
    ) -> dict[str, Any]:
        """Return the response after the timeout; FleetError if the deployment or deletion fails by it."""
        settings, pending = requested.request.target.settings, generation.pending
        after = f"after {counted(settings.timeout_seconds / 60, 'minute')}"
        why = standstill or generation.reason
        trouble = f": {why}" if why else ""
        are = "adapter is" if pending == 1 else "adapters are"
        if generation.request.source is Source.DELETION:
            raise FleetError(f"{after} {pending} {are} left{trouble}; delete again to go on")
        if requested.undo or generation.exempt:
            return _complete(generation, undo=requested.undo)
        if generation.changes is None:
            raise FleetError(f"{after} nothing is known of the fleet{trouble}")
        if standstill is None and not generation.fails_at_timeout:
            return _complete(generation)
        are = "one adapter is" if pending == 1 else f"{pending} adapters are"
        nothing = ", and nothing of what this changes was applied" if generation.applied is False else ""
        longer = (
            "; deploy again when that is over" if nothing else "; if they only need longer, raise 'timeout'"
        )
        longer = "" if standstill else longer
        raise FleetError(f"{after} {are} pending{_names(generation)}{nothing}{trouble}{longer}")

    def _standstill(self, generation: Generation, fleet: FleetRecord) -> str | None:
        """Return why the fleet makes no progress any more, None while passes go on."""
        if fleet.failed_passes >= STANDSTILL_PASSES:
            failed = f"{fleet.failed_passes} passes in a row have failed"
            return f"{failed}, as 'adapters logs' shows: {fleet.trouble}"
        silent = self.clock.now() - max(fleet.heartbeat, generation.request.at)
        unended = self.clock.now() - max(fleet.pass_ended, generation.request.at)
        silent = unended if unended > MAX_PASS_SECONDS else silent
        if silent <= STALLED_SECONDS:
            return None
        last = f" ({generation.reason})" if generation.reason else ""
        return f"no pass has ended for {silent / 60:.0f} minutes{last}; see the log of the function RunPass"


def data_of(generation: Generation, *, undo: bool = False) -> dict[str, str]:
    """Return the attributes of the custom resource.

    undo:
        True if the event requested an undo, though another generation has taken its place.
    """
    counts = {
        "Desired": generation.desired,
        "InService": generation.in_service,
        "Failed": generation.failed,
        "Pending": generation.pending,
        "Orphans": generation.orphans,
    }
    words = [
        f"{generation.in_service} of {generation.desired} {noun_of(generation.desired, 'adapter')} in service"
    ]
    if generation.failed:
        words.append(f"{generation.failed} failed")
    if generation.pending:
        words.append(f"{generation.pending} pending{_names(generation)}")
    if generation.orphans:
        words.append(
            f"{generation.orphans} with the fleet's tag that no manifest wants ('adapters prune' lists them)"
        )
    summary = ", ".join(words)
    if (undo or generation.undo) and (generation.failed or generation.pending):
        summary = f"degraded: {summary}"
    if generation.reason:
        summary = f"{summary}: {generation.reason}"
    return {name: str(count) for name, count in counts.items()} | {
        "Summary": bounded(summary, MAX_SUMMARY_BYTES)
    }


def _names(generation: Generation) -> str:
    """Return in brackets which adapters are pending."""
    names, more = ", ".join(generation.waiting), generation.pending - len(generation.waiting)
    return f" ({names}{f' and {more} more' if more > 0 else ''})" if names else ""


def _complete(generation: Generation, *, undo: bool = False) -> dict[str, Any]:
    return {"IsComplete": True, "Data": data_of(generation, undo=undo)}
