"""The registry: where a fleet's state outlives its passes. Its interface; DynamoDB is behind it in AWS."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from adapter_fleet.fleet.state.archive_version import ReadArchive
from adapter_fleet.fleet.state.records import (
    AdapterRecord,
    Event,
    FleetRecord,
    Generation,
    Order,
    Outcome,
    Request,
    Source,
)
from adapter_fleet.manifest.desired import DesiredFleet

STALLED_SECONDS = 180.0
"""After so long without a word of a generation that is open, its state machine is started again."""


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
    and sends once more where it went wrong. Manifests from S3 may have come in between. A person who deploys
    what was there before sends the same, but the stack is not rolling back then.
    """
    if newest is None or request.source is not Source.DEPLOYMENT or request.previous_digest is None:
        return False
    if request.rolling_back is False:
        return False
    last = generation(newest.deployment)
    if last is None:
        return False
    if request.rolling_back is True and request.source_digest == last.request.source_digest:
        # What is rolled back was never taken in: its event failed before.
        return True
    if last.undo:
        # The same again is no other rollback: someone deploys once more what was rolled back.
        return request.source_digest == last.request.source_digest
    return (
        last.request.previous_digest is not None
        and request.previous_digest == last.request.source_digest
        and request.source_digest == last.request.previous_digest
    )


def undone_by(generation: Generation, earlier: Callable[[int], Generation | None]) -> int | None:
    """Return the number of the generation that one takes back, with all that followed it; None for none."""
    if not generation.undo and generation.request.source is not Source.UNDO:
        return None
    by_the_fleet = generation.request.source is Source.UNDO
    number = generation.number - 1
    while (before := earlier(number)) is not None:
        source = before.request.source
        if source is Source.DEPLOYMENT and not before.undo:
            same = before.request.source_digest == generation.request.source_digest
            # What was rolled back was never taken in: there is nothing to take back.
            return None if same and not by_the_fleet else number
        if by_the_fleet and source is Source.OBJECT and before.outcome is not Outcome.REFUSED:
            return number
        number = number - 1 if by_the_fleet or before.deployment == number else before.deployment
    return None


def first_state(
    request: Request, newest: Generation | None, generation: Callable[[int], Generation | None]
) -> Generation:
    """Return the generation that a request makes, after the newest one so far.

    One that cannot be taken is refused from the beginning.
    """
    number = 1 if newest is None else newest.number + 1
    asked = request.source in (Source.DEPLOYMENT, Source.DELETION)
    refused = request.refusal is not None
    before = standing(newest, generation)
    return Generation(
        number=number,
        request=request,
        undo=undoes(request, newest, generation),
        deployment=number if asked or newest is None else newest.deployment,
        standing=0 if before is None else before.number,
        outcome=Outcome.REFUSED if refused else Outcome.OPEN,
        reason=request.refusal,
        ended=request.at if refused else None,
    )


def superseded_by(
    made: Generation, newest: Generation | None, generation: Callable[[int], Generation | None]
) -> Generation | None:
    """Return the generation that a new one puts an end to; None for none."""
    under_way = standing(newest, generation)
    if made.outcome is not Outcome.OPEN or under_way is None or under_way.outcome is not Outcome.OPEN:
        return None
    return replace(under_way, outcome=Outcome.SUPERSEDED, ended=made.request.at)


def refuses(newest: Generation, request: Request) -> bool:
    """Tell whether a fleet takes no such request any more.

    A deletion that got stuck may be asked again. One that is done may be followed by a creation, as where
    CloudFormation had kept the table of a fleet that it could not create.
    """
    if newest.request.source is not Source.DELETION or request.source is Source.DELETION:
        return False
    return not (newest.outcome is Outcome.CONVERGED and request.source is Source.DEPLOYMENT)


def standing(newest: Generation | None, generation: Callable[[int], Generation | None]) -> Generation | None:
    """Return the newest generation that was not refused, None for none: those that were change nothing.

    There may be thousands in a row, as where a job writes a wrong manifest again and again.
    """
    while newest is not None and newest.outcome is Outcome.REFUSED:
        newest = generation(newest.standing)
    return newest


def active_generation(
    newest: Generation, generation: Callable[[int], Generation | None]
) -> Generation | None:
    """Return the generation to bring about: the newest that was not refused. None where that has failed.

    One that was superseded by what was then refused goes on.
    """
    found = standing(newest, generation)
    return None if found is None or found.outcome is Outcome.FAILED else found


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

        `undo` is set where the request brings back what the previous generation replaced. One with a refusal
        is refused, and supersedes nothing. A fleet that is being deleted takes nothing but another deletion:
        ValueError. With `after`, that has to be the newest one so far, else OvertakenError.
        """

    def generation(self, number: int) -> Generation | None:
        """Return a generation, None where there is none of that number."""

    def desired(self, number: int) -> DesiredFleet:
        """Return what a generation wants."""

    def save_generation(self, generation: Generation, lease: Lease) -> None:
        """Note how far a generation is. An outcome that is not OPEN stays."""

    def reopen(self, number: int, lease: Lease) -> Generation:
        """Let a generation go on that was superseded, as what superseded it was refused; return it."""

    def save_fleet(self, fleet: FleetRecord, lease: Lease) -> None:
        """Note what passes learn.

        That is all but the name, the machine, the generation and the runner, which are not touched.
        """

    def records(self) -> dict[str, AdapterRecord]:
        """Return the record of every adapter, by component name."""

    def record(self, component: str) -> AdapterRecord | None:
        """Return the record of one adapter, None where there is none."""

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
        """Leave orders for the next pass. The last of a kind for a component counts, whatever its time is."""

    def orders(self) -> list[Order]:
        """Return the orders that are there."""

    def take_orders(self, orders: Iterable[Order], lease: Lease) -> None:
        """Remove orders, unless others have replaced them."""

    def known_archive(self, uri: str) -> ReadArchive | None:
        """Return what was read of an archive, None where that is not known (any more)."""

    def know_archive(self, archive: ReadArchive) -> None:
        """Remember what was read of an archive, in the place of what was read of it before."""

    def deliveries(self) -> Mapping[str, int]:
        """Return the generations by delivery."""
