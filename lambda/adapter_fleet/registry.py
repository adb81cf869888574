"""The registry: where a fleet's state outlives its passes. Its interface; DynamoDB is behind it in AWS."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from adapter_fleet.desired import DesiredFleet
from adapter_fleet.record import (
    AdapterRecord,
    Event,
    FleetRecord,
    Generation,
    Order,
    Outcome,
    Request,
    Source,
)


class OvertakenError(Exception):
    """A newer generation has come than the one that a request goes by."""


class LeaseLostError(Exception):
    """Another pass may hold the lease by now; this one must not write any more."""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to write, until a time. A later lease has a higher token."""

    owner: str
    token: int
    expires: float


def undoes(
    request: Request, newest: Generation | None, generation: Callable[[int], Generation | None]
) -> bool:
    """Tell whether a request brings back what the newest deployment replaced.

    That is what CloudFormation's rollback sends: another deployment, with the old properties of the first;
    and sends once more where it went wrong. Manifests from S3 may have come in between.
    """
    while newest is not None and newest.request.source in (Source.OBJECT, Source.UNDO):
        newest = generation(newest.number - 1)
    if newest is None or request.source is not Source.DEPLOYMENT or request.previous_digest is None:
        return False
    if newest.undo:
        # The same again is no other rollback: someone deploys once more what was rolled back.
        return request.source_digest == newest.request.source_digest
    return (
        newest.request.previous_digest is not None
        and request.previous_digest == newest.request.source_digest
        and request.source_digest == newest.request.previous_digest
    )


def undone_by(generation: Generation, earlier: Callable[[int], Generation | None]) -> int | None:
    """Return the number of the generation that one takes back, with all that followed it; None for none."""
    if not generation.undo and generation.request.source is not Source.UNDO:
        return None
    number = generation.number - 1
    while (before := earlier(number)) is not None:
        if before.request.source is Source.DEPLOYMENT and not before.undo:
            return number
        if before.request.source is Source.OBJECT and generation.request.source is Source.UNDO:
            return number
        number -= 1
    return None


def refuses(newest: Generation, request: Request) -> bool:
    """Tell whether a fleet takes no such request any more; a deletion that got stuck may be asked again."""
    return newest.request.source is Source.DELETION and request.source is not Source.DELETION


def active_generation(
    newest: Generation, converged: int, generation: Callable[[int], Generation | None]
) -> Generation | None:
    """Return the generation to bring about: the newest, unless it was refused. None where it has failed.

    A manifest that was refused changes nothing, and what was in force before stays so.

    converged:
        Number of the newest generation that converged, 0 where none has.
    """
    if newest.outcome is Outcome.REFUSED or (
        newest.outcome is Outcome.OPEN and newest.request.refusal is not None
    ):
        before = generation(converged) if converged else None
        return before if before is not None and before.outcome is Outcome.CONVERGED else None
    return newest if newest.outcome in (Outcome.OPEN, Outcome.CONVERGED) else None


class Registry(Protocol):
    """State of one fleet. Every method is one atomic step; what is returned is consistent.

    Methods that take a lease raise LeaseLostError where a later token has been given out.
    """

    def fleet(self) -> FleetRecord | None:
        """Return the fleet, None before its first generation."""

    def register(self, fleet: FleetRecord) -> None:
        """Make the fleet, or note its name and its machine where it is there."""

    def open_generation(
        self, request: Request, desired: DesiredFleet, *, after: int | None = None
    ) -> Generation:
        """Number a request and make it the newest; a delivery that is known keeps its number.

        `undo` is set where the request brings back what the previous generation replaced. A fleet whose
        newest generation is a deletion takes nothing but another deletion: ValueError. With `after`,
        that has to be the newest one so far, else OvertakenError.
        """

    def generation(self, number: int) -> Generation | None:
        """Return a generation, None where there is none of that number."""

    def desired(self, number: int) -> DesiredFleet:
        """Return what a generation wants."""

    def save_generation(self, generation: Generation, lease: Lease) -> None:
        """Note how far a generation is. An outcome that is not OPEN stays."""

    def save_fleet(self, fleet: FleetRecord, lease: Lease) -> None:
        """Note what passes learn.

        That is rate, serial, write_seconds, foreign, base_modified, heartbeat, converged and deleted.

        The generation and the runner are not touched.
        """

    def records(self) -> dict[str, AdapterRecord]:
        """Return the record of every adapter, by component name."""

    def put(self, records: Iterable[AdapterRecord], lease: Lease) -> None:
        """Write records."""

    def forget(self, components: Iterable[str], lease: Lease) -> None:
        """Delete records."""

    def acquire(self, owner: str, now: float, seconds: float) -> Lease | None:
        """Take the lease, None while another owner's has not expired. An owner's own is renewed."""

    def renew(self, lease: Lease, now: float, seconds: float) -> Lease:
        """Make the lease last longer."""

    def release(self, lease: Lease) -> None:
        """Give the lease back; nothing where it is lost already."""

    def become_runner(self, execution: str, at: float) -> bool:
        """Make an execution the one that runs passes, unless a later one (`at`) is it already."""

    def append(self, events: Sequence[Event]) -> None:
        """Add to the histories."""

    def history(self, component: str, limit: int) -> list[Event]:
        """Return the newest events of an adapter, newest first."""

    def order(self, orders: Iterable[Order]) -> None:
        """Leave orders for the next pass. The newest of a kind for a component counts."""

    def orders(self) -> list[Order]:
        """Return the orders that are there."""

    def take_orders(self, orders: Iterable[Order], lease: Lease) -> None:
        """Remove orders, unless newer ones have replaced them."""

    def deliveries(self) -> Mapping[str, int]:
        """Return the generations by delivery."""
