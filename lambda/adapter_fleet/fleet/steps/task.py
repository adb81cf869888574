"""The input and the result of one step for one component."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from adapter_fleet.common.clock import Clock
from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision
from adapter_fleet.fleet.planning.settle import with_failure
from adapter_fleet.fleet.state.components import ObservedComponent
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.records import AdapterRecord, Event
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.rows.leased_table import Lease, LeaseLostError
from adapter_fleet.fleet.state.sagemaker_port import MissingError, SageMakerPort, ServiceError
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter

CALL_SECONDS = 25.0
"""The longest that one call may take, by the timeouts of the clients."""


@dataclass(kw_only=True)
class StepOutcome:
    """What a step came to: one of the classes below.

    requests:
        How many requests were sent to the adapter.
    unexpected:
        An exception that no code expects. The record has the failure that it caused.
    """

    record: AdapterRecord
    events: list[Event] = field(default_factory=list)
    requests: int = 1
    unexpected: Exception | None = None


class Done(StepOutcome):
    """The step is taken, or it failed in a way that the record says. Nothing is under way."""


class Accepted(StepOutcome):
    """The service accepted a write that is under way now."""


@dataclass(kw_only=True)
class NotSent(StepOutcome):
    """No write was sent. `missing` says why there is no archive to send, where there is none."""

    missing: str | None = None


class NeedsArchive(NotSent):
    """The archive has to be copied or read before the step can be taken."""


@dataclass(kw_only=True)
class Strange(NotSent):
    """The component with this creation time turned out not to be the fleet's."""

    created: float


@dataclass(kw_only=True)
class Stopped(StepOutcome):
    """The step could not be taken; `blocks` if the error keeps the component from any in this pass."""

    error: ServiceError
    blocks: bool = False


@dataclass(kw_only=True)
class StepTask:
    """One step to take for one component, and what it may use. It runs in a thread of its own.

    uid:
        The value of the fleet's tag.
    leased:
        Returns the lease as the pass last renewed it.
    record:
        The component's record. A step that saves the record before a call replaces it here, too.
    wanted:
        All adapters of the fleet: one of them may answer in the place of another.
    answers:
        The components whose answers to the smoke request began so, by `ProbeCheck.answer`.
    copies:
        How many copies of the base model a request may reach.
    repairs:
        False if the pass only reports.
    stop:
        Returns true as soon as the pass has to end.
    """

    uid: str
    registry: Registry
    service: SageMakerPort
    clock: Clock
    leased: Callable[[], Lease]
    context: PlanContext
    record: AdapterRecord
    want: DesiredAdapter | None
    decision: Decision
    wanted: Mapping[str, DesiredAdapter] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    copies: int = 1
    repairs: bool = True
    stop: Callable[[], bool] = lambda: False

    @property
    def live(self) -> ObservedComponent:
        """The component as it was last observed. Raises MissingError."""
        live = self.record.live
        if live is None:
            raise MissingError(f"{self.record.component} is gone")
        return live

    def check_lease(self) -> None:
        """Raise LeaseLostError if a write might outlast the lease."""
        left = self.leased().expires - self.clock.now()
        if left < CALL_SECONDS:
            raise LeaseLostError(f"the lease ends in {left:.0f} s, too soon for a write")

    def save(self, record: AdapterRecord) -> None:
        """Write a record to the registry, before the call that it describes."""
        self.record = record
        self.registry.records.put([record], self.leased())

    def failure(
        self,
        artifact: Artifact,
        reason: str,
        *,
        cause: Cause | None = None,
        smoke: str | None = None,
        probe: str | None = None,
        record: AdapterRecord | None = None,
    ) -> StepOutcome:
        """Return the result of a step whose artifact could not be brought into service.

        record:
            The component's record before this failure; by default that of the task.
        """
        record, events = with_failure(
            record or self.record,
            artifact,
            reason,
            self.context,
            cause=cause,
            want=self.want,
            smoke=smoke,
            probe=probe,
        )
        return Done(record=record, events=events)
