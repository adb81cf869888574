"""What all parts of a pass share: its lease, its time limit, and the fleet and generation it works on."""

from dataclasses import dataclass, replace
from typing import Any

from adapter_fleet.common.clock import Clock
from adapter_fleet.fleet.state.configuration import LEASE_SECONDS
from adapter_fleet.fleet.state.generations import Generation, Outcome, Source, Target
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.rows.leased_table import Lease, LeaseLostError
from adapter_fleet.fleet.state.sagemaker_port import SageMakerPort
from adapter_fleet.fleet.state.telemetry import FleetTelemetry

_HEARTBEAT_SECONDS = 60.0
_RENEW_SECONDS = 0.8 * LEASE_SECONDS

DRIFT_TRIGGER = "drift"
SCALING_TRIGGER = "scaling"
"""An alarm that scales the base model rang: copies may come soon."""
LOOK_TRIGGER = "look"
"""The endpoint changed, or requests fail: copies may have lost the adapters."""
ORDER_TRIGGER = "order"
"""Somebody gave an order, such as `adapters apply --retry`."""
CONTINUING_TRIGGER = "continuing"
"""An execution that has run as many passes as one may goes on in another one."""


class PassHaltedError(Exception):
    """The pass cannot go on for now; the message says why. The next pass tries again."""


@dataclass(frozen=True, kw_only=True)
class PassInput:
    """What the state machine passes to one pass.

    execution, started_at:
        Name and start of the execution. The latest execution runs the passes.
    owner:
        Unique id of this pass.
    deadline:
        When the pass has to end.
    listed:
        The generation for which this execution has listed the endpoint.
    passes:
        How many passes this execution has run before.
    """

    execution: str
    started_at: float
    owner: str
    trigger: str
    deadline: float
    listed: int = 0
    passes: int = 0

    @property
    def starts_drift_check(self) -> bool:
        """True if this is the first pass of a scheduled drift check."""
        return self.trigger == DRIFT_TRIGGER and self.passes == 0

    @property
    def starts_look(self) -> bool:
        """True if this is the first pass of a look at the copies of the base model."""
        return self.trigger == LOOK_TRIGGER and self.passes == 0


@dataclass(frozen=True, kw_only=True)
class PassResult:
    """What a pass returns to the state machine: done, or run another pass after some seconds."""

    done: bool
    wait_seconds: int = 1
    listed: int = 0


class Session:
    """The lease of a pass, its time limit, and the fleet and generation as this pass will save them.

    uid:
        The value of the fleet's tag.
    lease:
        The lease as it was last renewed.
    """

    def __init__(
        self,
        *,
        uid: str,
        registry: Registry,
        service: SageMakerPort,
        telemetry: FleetTelemetry,
        clock: Clock,
        pass_input: PassInput,
        lease: Lease,
    ) -> None:
        # Read again under the lease: a generation may have come before it was acquired.
        fleet = registry.fleet()
        newest = None if fleet is None else registry.generations.find(fleet.generation)
        if fleet is None or newest is None:
            raise LeaseLostError("the registry is gone")
        self.uid, self.registry, self.service, self.telemetry = uid, registry, service, telemetry
        self.clock, self.pass_input = clock, pass_input
        self.fleet, self.newest = fleet, newest
        self.generation = newest
        self.lease = lease

    def begin(self, generation: Generation) -> None:
        """Work on this generation; open it again if a generation that was refused had superseded it."""
        if generation.outcome is Outcome.SUPERSEDED:
            generation = self.registry.generations.reopen(generation.number, self.lease)
        self.generation = generation
        # Each execution finds out again whether the service takes one write at a time.
        self.update_fleet(serial=self.fleet.serial and self.resumes)

    @property
    def target(self) -> Target:
        """The target of the generation."""
        return self.generation.request.target

    @property
    def deleting(self) -> bool:
        """True if the whole fleet is being deleted."""
        return self.generation.request.source is Source.DELETION

    @property
    def spares_changes(self) -> bool:
        """True if the pass came to look or for orders alone, and leaves what people changed by hand."""
        triggers = (SCALING_TRIGGER, LOOK_TRIGGER, ORDER_TRIGGER, CONTINUING_TRIGGER)
        return self.pass_input.trigger in triggers and self.generation.spares_changes

    @property
    def resumes(self) -> bool:
        """True if an earlier pass of this execution has listed the endpoint for this generation."""
        return self.pass_input.listed == self.generation.number

    # --- the lease and the time

    def renew(self) -> None:
        """Renew the lease once a fifth of its time has passed. Raises LeaseLostError."""
        now = self.clock.now()
        if self.lease.expires - now < _RENEW_SECONDS:
            self.lease = self.registry.renew(self.lease, now, LEASE_SECONDS)

    def beat(self) -> None:
        """Note that the pass goes on: `is_complete` starts another one where none seems to run."""
        now = self.clock.now()
        if now - self.fleet.heartbeat >= _HEARTBEAT_SECONDS:
            self.update_fleet(heartbeat=now)
            self.registry.save_fleet(self.fleet, self.lease)

    def is_late(self) -> bool:
        """Return True if the pass has to end: its time is up, or it is abandoned."""
        return self.clock.now() >= self.pass_input.deadline

    def abandon(self) -> None:
        """Make the pass late for good, so that every call under way stops as soon as it can."""
        self.pass_input = replace(self.pass_input, deadline=0.0)

    # --- what is saved

    def update_fleet(self, **changes: Any) -> None:
        """Change fields of the fleet's record. `beat` and the end of the pass write it to the registry."""
        self.fleet = replace(self.fleet, **changes)

    def update_generation(self, **changes: Any) -> None:
        """Change fields of the generation. `save_generation` writes them to the registry."""
        self.generation = replace(self.generation, **changes)

    def save_generation(self) -> None:
        """Write the generation to the registry."""
        self.registry.generations.save(self.generation, self.lease)

    def end_generation(self, outcome: Outcome, reason: str | None) -> Outcome:
        """End the generation; return its outcome. One that was superseded meanwhile stays superseded."""
        self.update_generation(outcome=outcome, reason=reason, ended=self.clock.now())
        self.save_generation()
        stored = self.registry.generations.find(self.generation.number)
        if stored is not None:
            self.update_generation(outcome=stored.outcome, reason=stored.reason)
        return self.generation.outcome

    def look_for_newer_generation(self) -> None:
        """Stop the pass if a newer generation has come."""
        fleet = self.registry.fleet()
        if fleet is None or fleet.generation != self.newest.number:
            self.abandon()
