"""A registry in memory."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace

from adapter_fleet.fleet.state.archive_version import ArchiveReading
from adapter_fleet.fleet.state.generations import (
    Generation,
    Outcome,
    Request,
    accepts,
    new_generation,
    superseded_by,
)
from adapter_fleet.fleet.state.orders import Order, OrderKind
from adapter_fleet.fleet.state.records import AdapterRecord, Event, FleetRecord
from adapter_fleet.fleet.state.registry import Lease, LeaseLostError, OvertakenError
from adapter_fleet.manifest.desired import DesiredFleet


class MemoryRegistry:
    """`Registry` for one process. Every method holds one lock."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._fleet: FleetRecord | None = None
        self._generations: dict[int, Generation] = {}
        self._desired: dict[int, DesiredFleet] = {}
        self._deliveries: dict[str, int] = {}
        self._records: dict[str, AdapterRecord] = {}
        self._orders: dict[tuple[str, OrderKind], Order] = {}
        self._events: dict[str, list[Event]] = {}
        self._archives: dict[str, ArchiveReading] = {}
        self._lease = Lease(owner="", token=0, expires=0.0)
        self.bad_orders: dict[str, str] = {}

    def clone(self) -> "MemoryRegistry":
        """Return a copy."""
        copy = MemoryRegistry()
        with self._lock:
            copy._fleet, copy._lease = self._fleet, self._lease
            copy._generations, copy._desired = dict(self._generations), dict(self._desired)
            copy._deliveries, copy._records = dict(self._deliveries), dict(self._records)
            copy._orders, copy._archives = dict(self._orders), dict(self._archives)
            copy._events = {component: list(events) for component, events in self._events.items()}
        return copy

    def restore(self, backup: "MemoryRegistry") -> None:
        """Restore a backup. The holder of the lease loses it."""
        copy = backup.clone()
        with self._lock:
            token = self._lease.token + 1
            for name in ("fleet", "generations", "desired", "deliveries", "records", "orders", "events"):
                setattr(self, f"_{name}", getattr(copy, f"_{name}"))
            self._lease = Lease(owner="", token=token, expires=0.0)

    def fleet(self) -> FleetRecord | None:
        return self._fleet

    def register(self, fleet: FleetRecord) -> None:
        with self._lock:
            if self._fleet is None:
                self._fleet = fleet
            self._fleet = replace(self._fleet, name=fleet.name, machine=fleet.machine)

    def open_generation(
        self, request: Request, desired: DesiredFleet, *, after: int | None = None
    ) -> Generation:
        with self._lock:
            if (known := self._deliveries.get(request.delivery)) is not None:
                return self._generations[known]
            if self._fleet is None:
                raise LookupError("the fleet is not registered")
            if after is not None and self._fleet.generation != after:
                raise OvertakenError(f"generation {after} is not the newest any more")
            newest = self._generations.get(self._fleet.generation)
            if not accepts(newest, request):
                raise ValueError("the fleet is being deleted and takes no other requests")
            made = new_generation(request, newest, self.generation)
            superseded = superseded_by(made, newest, self.generation)
            if superseded is not None:
                self._generations[superseded.number] = superseded
            self._generations[made.number] = made
            self._desired[made.number] = desired
            self._deliveries[request.delivery] = made.number
            self._fleet = replace(self._fleet, generation=made.number)
            return made

    def generation(self, number: int) -> Generation | None:
        return self._generations.get(number)

    def generations(self) -> list[int]:
        """Return the numbers of all generations."""
        with self._lock:
            return list(self._generations)

    def desired(self, number: int) -> DesiredFleet:
        return self._desired[number]

    def save_generation(self, generation: Generation, lease: Lease) -> None:
        with self._lock:
            self._check(lease)
            before = self._generations.get(generation.number)
            if before is None:
                raise LookupError(f"there is no generation {generation.number}")
            if before.outcome is not Outcome.OPEN:
                generation = replace(
                    generation, outcome=before.outcome, reason=before.reason, ended=before.ended
                )
            self._generations[generation.number] = generation

    def reopen(self, number: int, lease: Lease) -> Generation:
        with self._lock:
            self._check(lease)
            generation = self._generations[number]
            if generation.outcome is Outcome.SUPERSEDED:
                generation = replace(generation, outcome=Outcome.OPEN, ended=None)
                self._generations[number] = generation
            return generation

    def save_fleet(self, fleet: FleetRecord, lease: Lease) -> None:
        with self._lock:
            self._check(lease)
            if self._fleet is None:
                raise LookupError("the fleet is not registered")
            known = self._fleet
            self._fleet = replace(
                fleet,
                uid=known.uid,
                name=known.name,
                machine=known.machine,
                generation=known.generation,
                runner=known.runner,
                runner_at=known.runner_at,
            )

    def records(self) -> dict[str, AdapterRecord]:
        with self._lock:
            return dict(self._records)

    def record(self, component: str) -> AdapterRecord | None:
        return self._records.get(component)

    def put(self, records: Iterable[AdapterRecord], lease: Lease) -> None:
        written = {record.component: record for record in records}
        with self._lock:
            if written:
                self._check(lease)
            self._records.update(written)

    def forget(self, components: Iterable[str], lease: Lease) -> None:
        forgotten = list(components)
        with self._lock:
            if forgotten:
                self._check(lease)
            for component in forgotten:
                self._records.pop(component, None)

    def acquire(self, owner: str, now: float, seconds: float) -> Lease | None:
        with self._lock:
            if self._lease.expires > now and self._lease.owner != owner:
                return None
            self._lease = Lease(owner=owner, token=self._lease.token + 1, expires=now + seconds)
            return self._lease

    def renew(self, lease: Lease, now: float, seconds: float) -> Lease:
        with self._lock:
            self._check(lease)
            self._lease = replace(lease, expires=now + seconds)
            return self._lease

    def release(self, lease: Lease) -> None:
        with self._lock:
            if self._lease.token == lease.token:
                self._lease = Lease(owner="", token=lease.token, expires=0.0)

    def become_runner(self, execution: str, at: float) -> bool:
        with self._lock:
            if self._fleet is None:
                return False
            if self._fleet.runner == execution:
                return True
            if self._fleet.runner is not None and (self._fleet.runner_at, self._fleet.runner) > (
                at,
                execution,
            ):
                return False
            self._fleet = replace(self._fleet, runner=execution, runner_at=at)
            return True

    def append(self, events: Sequence[Event]) -> None:
        with self._lock:
            for event in events:
                self._events.setdefault(event.component, []).append(event)

    def history(self, component: str, limit: int) -> list[Event]:
        with self._lock:
            events = sorted(self._events.get(component, ()), key=lambda event: event.at)
        return events[::-1][:limit]

    def order(self, orders: Iterable[Order]) -> None:
        with self._lock:
            for order in orders:
                self._orders[order.component, order.kind] = order

    def orders(self) -> list[Order]:
        with self._lock:
            return sorted(self._orders.values(), key=lambda order: (order.at, order.component, order.kind))

    def unreadable_orders(self) -> dict[str, str]:
        return dict(self.bad_orders)

    def withdraw_orders(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.bad_orders.pop(key, None)

    def take_orders(self, orders: Iterable[Order], lease: Lease) -> None:
        taken = list(orders)
        with self._lock:
            if taken:
                self._check(lease)
            for order in taken:
                key = (order.component, order.kind)
                if key in self._orders and self._orders[key].at == order.at:
                    del self._orders[key]

    def known_archive(self, uri: str) -> ArchiveReading | None:
        return self._archives.get(uri)

    def remember_archive(self, archive: ArchiveReading) -> None:
        self._archives[archive.version.uri] = archive

    def _check(self, lease: Lease) -> None:
        if lease.token != self._lease.token:
            raise LeaseLostError(f"lease {lease.token} of {lease.owner} is lost: {self._lease}")
