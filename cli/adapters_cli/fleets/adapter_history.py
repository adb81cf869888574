"""The history of one adapter: its events and their reasons, from the registry."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from adapter_fleet.fleet.state.generations import Generation, Source
from adapter_fleet.fleet.state.records import Event
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.manifest.desired import DesiredAdapter
from adapters_cli.aws.worker_threads import read_each
from adapters_cli.fleets.versions import version_document
from adapters_cli.output.text import timestamp

_SENT = ("created", "updated")


@dataclass(frozen=True)
class AdapterHistory:
    """The events of one adapter, newest first.

    events:
        One more than `limit`, if there are as many: an event's reason depends on the event before it.
    """

    registry: Registry
    components: Sequence[str]
    events: list[Event]
    limit: int

    @classmethod
    def read(cls, registry: Registry, components: Sequence[str], limit: int) -> "AdapterHistory":
        """Read the newest events of an adapter's components, one for each version or one for all."""
        read = [event for each in components for event in registry.events.newest(each, limit + 1)]
        found = {(event.component, event.at, event.what): event for event in read}
        newest = sorted(found.values(), key=lambda event: event.at, reverse=True)[: limit + 1]
        return cls(registry, components, newest, limit)

    @cached_property
    def with_reasons(self) -> list[tuple[Event, str | None]]:
        """The events, each with its reason; None if its generation is the only reason."""
        earlier: list[Event | None] = [*self.events[1:], None]
        return [
            (self._with_digest(event), self._reason(event, before))
            for event, before in list(zip(self.events, earlier, strict=False))[: self.limit]
        ]

    @cached_property
    def _generations(self) -> dict[int, Generation | None]:
        return read_each({event.generation for event in self.events}, self.registry.generations.find)

    @cached_property
    def _wants(self) -> dict[int, DesiredAdapter | None]:
        """What the generations of events want of the adapter, where the events do not give their reason."""
        numbers = {
            event.generation
            for event in self.events
            if event.what in (*_SENT, "adopted") and self._generations[event.generation] is not None
        }
        return read_each(numbers, self._want)

    def _want(self, number: int) -> DesiredAdapter | None:
        for adapter in self.registry.generations.desired(number).adapters:
            if adapter.component in self.components or adapter.name == self.events[0].name:
                return adapter
        return None

    def _with_digest(self, event: Event) -> Event:
        """Add the digest of an adopted component. Only the manifest has it: SageMaker reports no digest."""
        want = self._wants.get(event.generation) if event.what == "adopted" else None
        if want is None or event.after != replace(want.artifact, digest=None).version:
            return event
        return replace(event, after=want.artifact.version, after_artifact=want.artifact)

    def _reason(self, event: Event, earlier: Event | None) -> str | None:
        if event.cause is not None:
            return event.cause
        return (
            self._reason_by_person(event, earlier)
            or self._reason_by_generation(event)
            or self._reason_by_artifact(event, earlier)
        )

    def _reason_by_person(self, event: Event, earlier: Event | None) -> str | None:
        """Return the order of a person that caused an event."""
        if event.what not in _SENT or (earlier is not None and earlier.what == "drifted"):
            return None
        if self._is_pinned(event):
            return "rolled back by 'adapters rollback'"
        return "the rollback is taken back" if earlier and self._takes_back(event, earlier) else None

    def _reason_by_generation(self, event: Event) -> str | None:
        generation = self._generations[event.generation]
        if generation is None or event.what not in (*_SENT, "deleted"):
            return None
        if generation.request.source is Source.DELETION:
            return "the fleet is deleted"
        undone = self.registry.lineage.undone_number(generation)
        if undone is None:
            return None
        if generation.request.source is Source.UNDO:
            return f"generation {undone} failed, and is taken back"
        return f"CloudFormation rolls generation {undone} back"

    def _reason_by_artifact(self, event: Event, earlier: Event | None) -> str | None:
        if event.what == "restored":
            return "the version after it failed"
        if event.what not in _SENT:
            return None
        if earlier is not None and earlier.what == "drifted":
            return "repaired after a change by hand"
        before, after = event.before_artifact, event.after_artifact
        if before is not None and after is not None and after.same_version_as(before):
            moved = before.uri != after.uri
            return "the same archive at another address" if moved else "the same archive, sent again"
        retried = earlier is not None and earlier.what == "retried"
        return "tried again by 'adapters apply --retry'" if retried else None

    def _is_pinned(self, event: Event) -> bool:
        """Return True if another artifact was sent than the manifest declares: only a rollback does that."""
        want = self._wants.get(event.generation)
        return event.what in _SENT and want is not None and event.after != want.artifact.version

    def _takes_back(self, event: Event, earlier: Event) -> bool:
        """Return True if the manifest declares what it did at a rollback. Another artifact ends that, too."""
        before, want = (self._wants.get(one.generation) for one in (earlier, event))
        if before is None or want is None or not self._is_pinned(earlier):
            return False
        return want.artifact.same_version_as(before.artifact)


def event_document(event: Event, why: str | None) -> dict[str, Any]:
    """Return an event with its reason, as `--json` writes it."""
    return {
        **asdict(event),
        "at": timestamp(event.at),
        "before_artifact": version_document(event.before_artifact),
        "after_artifact": version_document(event.after_artifact),
        "why": why,
    }
