"""The registry: the port to the store of a fleet's state. `aws/dynamodb_registry.py` implements it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from adapter_fleet.fleet.state.archive_version import ArchiveReading
from adapter_fleet.fleet.state.generations import Generation, Request
from adapter_fleet.fleet.state.orders import Order
from adapter_fleet.fleet.state.records import AdapterRecord, Event, FleetRecord
from adapter_fleet.manifest.desired import DesiredFleet


class OvertakenError(Exception):
    """A newer generation exists than the one that a request is based on."""


class UnreadableError(Exception):
    """A row of the registry cannot be read. A later release may have written it."""


class LeaseLostError(Exception):
    """Another pass may hold the lease. The pass must stop writing."""


class RecordTooLargeError(Exception):
    """The records of some `components` are too large to be stored; the others were stored."""

    def __init__(self, message: str, components: Collection[str]) -> None:
        super().__init__(message)
        self.components = components


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to write until a time. A later lease has a higher token."""

    owner: str
    token: int
    expires: float


class Registry(Protocol):
    """The state of one fleet. What a method returns is consistent.

    A method is one atomic step, but for those that take several items: these are written in batches.

    Methods that take a lease raise LeaseLostError if a later token exists. Methods that return the fleet, a
    generation or a desired state raise UnreadableError if this release cannot read it.
    """

    def fleet(self) -> FleetRecord | None:
        """Return the fleet, None before it is registered."""

    def register(self, fleet: FleetRecord) -> None:
        """Create the fleet, or set its name and its state machine if it exists."""

    def open_generation(
        self, request: Request, desired: DesiredFleet, *, after: int | None = None
    ) -> Generation:
        """Make a request the newest generation, or return the generation that its delivery made before.

        An invalid request makes a refused generation, which supersedes nothing. Raises ValueError if the
        fleet is being deleted and the request is no deletion, and OvertakenError if `after` is given and is
        not the newest generation.
        """

    def generation(self, number: int) -> Generation | None:
        """Return a generation, None if there is none of that number."""

    def desired(self, number: int) -> DesiredFleet:
        """Return the desired state of a generation."""

    def save_generation(self, generation: Generation, lease: Lease) -> None:
        """Save the progress of a generation. An outcome other than OPEN stays as it is."""

    def reopen(self, number: int, lease: Lease) -> Generation:
        """Open a superseded generation again, because its successor was refused; return it."""

    def save_fleet(self, fleet: FleetRecord, lease: Lease) -> None:
        """Save what passes learn: everything but the name, the machine, the generation and the runner."""

    def records(self) -> dict[str, AdapterRecord]:
        """Return the record of every adapter, by component name. Some rows cannot be read: `unreadable`."""

    def record(self, component: str) -> AdapterRecord | None:
        """Return the record of one adapter, None if there is none."""

    def put(self, records: Iterable[AdapterRecord], lease: Lease) -> None:
        """Write records. Raises RecordTooLargeError once all others are written."""

    def forget(self, components: Iterable[str], lease: Lease) -> None:
        """Delete records."""

    def acquire(self, owner: str, now: float, seconds: float) -> Lease | None:
        """Take the lease, or renew the owner's own; None if another owner holds it."""

    def renew(self, lease: Lease, now: float, seconds: float) -> Lease:
        """Extend the lease."""

    def release(self, lease: Lease) -> None:
        """Give the lease back. A lost lease is ignored."""

    def become_runner(self, execution: str, at: float) -> bool:
        """Make an execution the runner of passes, unless one that started later is the runner."""

    def append(self, events: Sequence[Event]) -> None:
        """Add events to the histories."""

    def history(self, component: str, limit: int) -> list[Event]:
        """Return the newest events of an adapter, newest first."""

    def order(self, orders: Iterable[Order]) -> None:
        """Leave orders for the next pass. The last order of a kind for a component counts."""

    def orders(self) -> list[Order]:
        """Return all orders that can be read."""

    def unreadable_orders(self) -> dict[str, str]:
        """Return the keys of all other orders, and why they cannot be read."""

    def withdraw_orders(self, keys: Iterable[str]) -> None:
        """Remove orders by their keys, whatever they say."""

    def take_orders(self, orders: Iterable[Order], lease: Lease) -> None:
        """Remove orders, unless others have replaced them."""

    def known_archive(self, uri: str) -> ArchiveReading | None:
        """Return the last reading of an archive, None if there is none."""

    def remember_archive(self, archive: ArchiveReading) -> None:
        """Store the reading of an archive. It replaces the one before."""
