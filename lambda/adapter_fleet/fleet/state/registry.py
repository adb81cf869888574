"""The registry: the state of a fleet, in one DynamoDB table of its own.

The attribute of the table's time to live is `expires`.

| pk | sk | what |
|---|---|---|
| `fleet` | `fleet` | the fleet: some attributes, and `learned` (compressed JSON) |
| `fleet` | `lease` | owner, token and end of the lease |
| `records` | component | one adapter (JSON) |
| `generations` | number | one generation: `doc` (JSON), its outcome, and how it ended |
| `desired#<id>` | number | the desired state of a generation: compressed JSON in chunks |
| `deliveries` | delivery | number of the generation that the delivery made |
| `orders` | component and kind | one order (JSON) |
| `routes` | adapter | the route of one adapter: `doc` (JSON), its revision, and their digest |
| `route#<adapter>` | `route` | what callers of an adapter read: its component, and a candidate's |
| `history#<component>` | time | one event (JSON), for 400 days |
| `archives` | SHA-256 of the URI | the reading of one archive (JSON), for 400 days |
| `usage` | `counted` | up to when use is counted; `usage_counter.py` writes it |

A generation expires with its delivery and its desired state, 400 days after nothing can refer to it any more.

Every write under a lease is a transaction that checks the lease's item. So a pass whose lease is lost changes
nothing, however late its request arrives.
"""

import gzip
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.common.naming import ORDERS_PARTITION, ROUTES_PARTITION, route_key, without_version
from adapter_fleet.common.serialization import converter, unstructured
from adapter_fleet.fleet.state.archive_version import ArchiveReading
from adapter_fleet.fleet.state.configuration import HISTORY_SECONDS
from adapter_fleet.fleet.state.dynamodb_table import (
    DynamoDbTable,
    Item,
    check_action,
    delete_action,
    in_transactions,
    key,
    put_action,
    update_action,
)
from adapter_fleet.fleet.state.generations import (
    FindGeneration,
    Generation,
    Outcome,
    Request,
    accepts,
    new_generation,
    referenced,
    superseded_by,
)
from adapter_fleet.fleet.state.records import AdapterRecord, Event, FleetRecord, Order
from adapter_fleet.fleet.state.routes import PublishedRoute, Route, StoredRoutes
from adapter_fleet.manifest.desired import DesiredFleet

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_Value = TypeVar("_Value")


_UNUSED_CHUNK_SECONDS = 24 * 3600
"""How long chunks are kept if their generation was never made."""

_CHUNKS_OUTLIVE_SECONDS = 7 * 24 * 3600
"""How much longer a desired state is kept than its generation, as DynamoDB deletes in any order."""

_CHUNK_BYTES = 350_000
"""Bytes of a chunk. An item may have 400 KB (DynamoDB's service quotas)."""

_MAX_RECORD_BYTES = 400_000
"""Bytes of a record's document, in ASCII. The limits of a manifest keep every record below."""

_MAX_ROUTES = 20
"""Routes in one transaction. With the longest probes, seven versions of an adapter have some 140 KB."""

_MAX_CACHED_STATES = 4
"""Desired states in memory. A warm function needs the newest one and the last that converged."""

_FLEET = key("fleet", "fleet")
_LEASE = key("fleet", "lease")

_DETAILS = ("checksum", "source", "probe", "evaluation")
"""The fields of an artifact that do not tell it apart. A record has them once for each version."""

_NOT_LEARNED = ("uid", "name", "machine", "generation", "runner", "runner_at")
"""The fields of the fleet that passes do not save. Each is an attribute of its own."""


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


class Registry:
    """The state of one fleet. Several threads may use it.

    What a method returns is consistent. Methods that take a lease raise LeaseLostError if a later token
    exists. Methods that return the fleet, a generation or a desired state raise UnreadableError if this
    release cannot read it.

    `put`, `forget` and `take_orders` are atomic for each transaction: up to 99 records or orders. `append`
    and `order` are atomic for each event and up to 100 orders.
    """

    def __init__(
        self, table_name: str, client: "DynamoDBClient", *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.table_name = table_name
        self._table = DynamoDbTable(table_name, client, sleep=sleep)
        self._desired_states: dict[str, DesiredFleet] = {}

    # The fleet and its generations.

    def fleet(self) -> FleetRecord | None:
        """Return the fleet, None before it is registered."""
        item = self._table.get(**_FLEET)
        if item is None:
            return None
        with _reading(item):
            learned = json.loads(gzip.decompress(item["learned"])) if "learned" in item else {}
            return converter.structure({**learned, **item}, FleetRecord)

    def register(self, fleet: FleetRecord) -> None:
        """Create the fleet, or set its name and its state machine if it exists."""
        own = {name: getattr(fleet, name) for name in _NOT_LEARNED if getattr(fleet, name) is not None}
        self._table.put_new(
            {**_FLEET, **own, "runner_at": float(fleet.runner_at), "learned": _learned(fleet)}
        )
        self._table.update(
            _FLEET,
            "SET #name = :name, machine = :machine",
            condition="#name <> :name OR machine <> :machine",
            name=fleet.name,
            machine=fleet.machine,
        )

    def open_generation(
        self, request: Request, desired: DesiredFleet, *, after: int | None = None
    ) -> Generation:
        """Make a request the newest generation, or return the generation that its delivery made before.

        An invalid request makes a refused generation, which supersedes nothing. Raises LookupError if the
        fleet is not registered, ValueError if it is being deleted and the request is no deletion, and
        OvertakenError if `after` is given and is not the newest generation.
        """
        chunks: list[Item] = []
        for _ in self._table.attempts():
            delivery = self._table.get("deliveries", request.delivery)
            if delivery is not None:
                return self._known_generation(int(delivery["number"]))
            fleet = self.fleet()
            if fleet is None:
                raise LookupError("the fleet is not registered")
            if after is not None and fleet.generation != after:
                raise OvertakenError(f"generation {after} is not the newest any more")
            find = cache(self.generation)
            newest = find(fleet.generation)
            if not accepts(newest, request):
                raise ValueError("the fleet is being deleted and takes no other requests")
            made = new_generation(request, newest, find)
            if not chunks:
                # Nothing refers to the chunks before the generation exists.
                chunks = _chunks(desired, expires=request.at + _UNUSED_CHUNK_SECONDS)
                self._table.put_all(chunks)
            superseded = superseded_by(made, newest, find)
            if not self._table.transact(_opening(made, superseded, chunks)):
                # The generation is made, even if another one is kept too long.
                with suppress(ClientError, UnreadableError):
                    self._let_expire(made, newest, fleet, find)
                return made
        raise TimeoutError("the registry takes no new generation: others make them all the time")

    def _let_expire(
        self, made: Generation, newest: Generation | None, fleet: FleetRecord, find: FindGeneration
    ) -> None:
        """Let the generations expire that were needed until this one was made, and are not needed now."""
        before = frozenset() if newest is None else referenced(newest, find)
        needed = referenced(made, lambda number: made if number == made.number else find(number))
        for number in before - needed - {fleet.converged}:
            self._set_expiry(number, int(made.request.at) + HISTORY_SECONDS)
        for number in needed - before:
            self._set_expiry(number, None)

    def _set_expiry(self, number: int, expires: int | None) -> None:
        """Set when a generation expires, with its delivery and its desired state; None for never."""
        item = self._table.get(**_generation_key(number))
        if item is None or ("expires" in item) == (expires is not None):
            return
        with _reading(item):
            delivery = _structured(item["doc"], Generation).request.delivery
        self._expire(_generation_key(number), expires)
        self._expire(key("deliveries", delivery), expires)
        later = None if expires is None else expires + _CHUNKS_OUTLIVE_SECONDS
        index = 0
        while self._expire(_chunk_key(item["desired"], index), later):
            index += 1

    def _expire(self, item: Item, expires: int | None) -> bool:
        """Set when an item expires; return False if there is none."""
        change, values = ("REMOVE expires", {}) if expires is None else ("SET expires = :at", {"at": expires})
        return self._table.update(item, change, condition="attribute_exists(pk)", **values) is not None

    def generation(self, number: int) -> Generation | None:
        """Return a generation, None if there is none of that number."""
        item = self._table.get(**_generation_key(number))
        if item is None:
            return None
        with _reading(item):
            document = {**json.loads(item["doc"]), **json.loads(item["end"]), "outcome": item["outcome"]}
            return converter.structure(document, Generation)

    def newest(self) -> Generation | None:
        """Return the newest generation, None before the first."""
        fleet = self.fleet()
        return None if fleet is None else self.generation(fleet.generation)

    def _known_generation(self, number: int) -> Generation:
        known = self.generation(number)
        if known is None:
            raise LookupError(f"there is no generation {number}")
        return known

    def desired(self, number: int) -> DesiredFleet:
        """Return the desired state of a generation. Raises LookupError if there is none of that number."""
        item = self._table.get(**_generation_key(number))
        if item is None:
            raise LookupError(f"there is no generation {number}")
        states, pk = self._desired_states, item["desired"]
        if pk not in states:
            chunks = self._table.query(pk)
            while len(states) >= _MAX_CACHED_STATES:
                states.pop(next(iter(states)))
            with _reading(item):
                compressed = b"".join(chunk["bytes"] for chunk in chunks)
                states[pk] = DesiredFleet.from_json(gzip.decompress(compressed))
        return states[pk]

    def save_generation(self, generation: Generation, lease: Lease) -> None:
        """Save the progress of a generation. An outcome other than OPEN stays, with its reason and time."""
        stored = _generation_attributes(generation)
        generation_key = _generation_key(generation.number)
        open_ = update_action(
            generation_key,
            "SET doc = :doc, outcome = :outcome, #end = :end",
            condition="outcome = :open",
            **stored,
            open=Outcome.OPEN,
        )
        ended = update_action(
            generation_key,
            "SET doc = :doc",
            condition="outcome <> :open AND attribute_exists(pk)",
            doc=stored["doc"],
            open=Outcome.OPEN,
        )
        if self._transact([open_], lease) and self._transact([ended], lease):
            raise LookupError(f"there is no generation {generation.number}")

    def reopen(self, number: int, lease: Lease) -> Generation:
        """Open a superseded generation again, because its successor was refused; return it.

        Raises LookupError if there is none of that number.
        """
        opened = replace(self._known_generation(number), outcome=Outcome.OPEN, ended=None)
        self._transact([_change_of_outcome(opened, before=Outcome.SUPERSEDED)], lease)
        self._set_expiry(number, None)
        return self._known_generation(number)

    def save_fleet(self, fleet: FleetRecord, lease: Lease) -> None:
        """Save what passes learn: everything but the name, the machine, the generation and the runner."""
        save = update_action(
            _FLEET, "SET learned = :learned", condition="attribute_exists(pk)", learned=_learned(fleet)
        )
        if self._transact([save], lease):
            raise LookupError("the fleet is not registered")

    # The adapters.

    def records(self) -> dict[str, AdapterRecord]:
        """Return the record of every adapter, by component name. Some rows cannot be read: `unreadable`."""
        records = map(_record_of, self._table.query("records"))
        return {record.component: record for record in records}

    def record(self, component: str) -> AdapterRecord | None:
        """Return the record of one adapter, None if there is none."""
        item = self._table.get("records", component)
        return None if item is None else _record_of(item)

    def put(self, records: Iterable[AdapterRecord], lease: Lease) -> None:
        """Write records. After LeaseLostError some of them may be written.

        Raises RecordTooLargeError for those above the limit, once the others are written.
        """
        texts = {record.component: _text(_document_of(record)) for record in records}
        too_large = {name: len(text) for name, text in texts.items() if len(text) > _MAX_RECORD_BYTES}
        puts = [
            put_action(key("records", component) | {"doc": text})
            for component, text in texts.items()
            if component not in too_large
        ]
        for batch in in_transactions(puts, beside=1):
            self._transact(batch, lease)
        if too_large:
            component, size = next(iter(too_large.items()))
            raise RecordTooLargeError(
                f"the record of {component} should have at most {_MAX_RECORD_BYTES} bytes, got {size}",
                too_large.keys(),
            )

    def forget(self, components: Iterable[str], lease: Lease) -> None:
        """Delete records. After LeaseLostError some of them may be deleted."""
        deletes = [delete_action(key("records", component)) for component in dict.fromkeys(components)]
        for batch in in_transactions(deletes, beside=1):
            self._transact(batch, lease)

    # The lease and the runner.

    def acquire(self, owner: str, now: float, seconds: float) -> Lease | None:
        """Take the lease, or renew the owner's own; None if another owner holds it.

        A renewal gives a higher token too: a late request of the same owner's earlier call must fail.
        """
        taken = self._table.update(
            _LEASE,
            "SET #owner = :owner, #until = :until ADD #token :one",
            condition="attribute_not_exists(pk) OR #until <= :now OR #owner = :owner",
            owner=owner,
            until=float(now + seconds),
            now=float(now),
            one=1,
        )
        if taken is None:
            return None
        return Lease(owner=owner, token=int(taken["token"]), expires=now + seconds)

    def renew(self, lease: Lease, now: float, seconds: float) -> Lease:
        """Extend the lease."""
        if not self._set_until(lease, now + seconds):
            raise _lost(lease)
        return replace(lease, expires=now + seconds)

    def release(self, lease: Lease) -> None:
        """Give the lease back. A lost lease is ignored."""
        self._set_until(lease, 0.0)

    def _set_until(self, lease: Lease, until: float) -> bool:
        extended = self._table.update(
            _LEASE, "SET #until = :until", condition="#token = :token", until=float(until), token=lease.token
        )
        return extended is not None

    def become_runner(self, execution: str, at: float) -> bool:
        """Make an execution the runner of passes, unless one that started later is the runner.

        Of two that started at the same time, the one whose name is later in the alphabet runs.
        """
        became = self._table.update(
            _FLEET,
            "SET runner = :runner, runner_at = :at",
            condition=(
                "attribute_exists(pk) AND (attribute_not_exists(runner) OR runner_at < :at"
                " OR runner = :runner OR (runner_at = :at AND runner < :runner))"
            ),
            runner=execution,
            at=float(at),
        )
        return became is not None

    # Histories and orders.

    def append(self, events: Sequence[Event]) -> None:
        """Add events to the histories. The same event at the same place of a call is the same entry."""
        items = {}
        for index, event in enumerate(events):
            doc = _text(unstructured(event))
            mark = hashlib.sha256(doc.encode()).hexdigest()[:8]
            sk = f"{event.at:018.6f}#{index:05}#{mark}"
            items[event.component, sk] = key(f"history#{_history_of(event)}", sk) | {
                "doc": doc,
                "expires": int(event.at) + HISTORY_SECONDS,
            }
        self._table.put_all(list(items.values()))

    def history(self, component: str, limit: int) -> list[Event]:
        """Return the newest events of an adapter, newest first."""
        return [
            _event_of(component, item) for item in self._table.query(f"history#{component}", newest=limit)
        ]

    def order(self, orders: Iterable[Order]) -> None:
        """Leave orders for the next pass. The last order of a kind for a component counts.

        The last one is the last that the table received: people's clocks may be wrong.
        """
        puts = {_order_key(order)["sk"]: _put_order(order) for order in orders}
        for batch in in_transactions([*puts.values()]):
            self._table.transact(batch)

    def orders(self) -> list[Order]:
        """Return all orders that can be read, oldest first."""
        return self.read_orders()[0]

    def read_orders(self) -> tuple[list[Order], dict[str, str]]:
        """Return the same orders, and the keys of all others with the reason why they cannot be read."""
        orders: list[Order] = []
        unreadable = {}
        for item in self._table.query(ORDERS_PARTITION):
            try:
                orders.append(_order_of(item))
            except UnreadableError as error:
                unreadable[item["sk"]] = str(error)
        return sorted(orders, key=lambda order: (order.at, order.component, order.kind)), unreadable

    def withdraw_orders(self, keys: Iterable[str]) -> None:
        """Remove orders by their keys, whatever they say."""
        for batch in in_transactions([delete_action(key(ORDERS_PARTITION, sk)) for sk in keys]):
            self._table.transact(batch)

    def take_orders(self, orders: Iterable[Order], lease: Lease) -> None:
        """Remove orders, unless others have replaced them."""
        taken = {_order_key(order)["sk"]: order for order in orders}
        deletes = [
            delete_action(
                _order_key(order), condition="attribute_not_exists(pk) OR #at = :at", at=float(order.at)
            )
            for order in taken.values()
        ]
        for batch in in_transactions(deletes, beside=1):
            left = batch
            while left and (replaced := self._transact(left, lease)):
                left = [action for index, action in enumerate(left) if index not in replaced]

    def replace_order(self, order: Order, by: Order, lease: Lease) -> None:
        """Replace an order by one of the same key and time, unless a person has replaced it."""
        self._transact([_put_order(by, condition="#at = :at", at=float(order.at))], lease)

    # Routes.

    def published_routes(self, adapters: Collection[str]) -> dict[str, PublishedRoute]:
        """Return what callers of adapters read. A row that somebody edited names no component."""
        published = {}
        for item in self._table.get_all([route_key(adapter) for adapter in adapters]):
            row = {name: value for name, value in item.items() if name not in ("pk", "sk", "digest")}
            route = PublishedRoute(component="")
            with suppress(Exception):
                found = converter.structure(row, PublishedRoute)
                if item["digest"] == _digest(_text(unstructured(found)), found.revision):
                    route = found
            published[item["pk"].removeprefix("route#")] = route
        return published

    def read_routes(self) -> StoredRoutes:
        """Return the routes of the fleet's adapters."""
        found = StoredRoutes({}, {}, {})
        for item in self._table.query(ROUTES_PARTITION):
            try:
                route = _route_of(item)
            except UnreadableError as error:
                found.unreadable[item["sk"]] = str(error)
                continue
            if item.get("digest") == _digest(item["doc"], route.revision):
                found.routes[route.adapter] = route
                continue
            found.edited[route.adapter] = route.revision
            found.unreadable[route.adapter] = (
                f"row '{route.adapter}' of '{ROUTES_PARTITION}' in the registry was edited; the next pass"
                " writes it again"
            )
        return found

    def put_routes(self, routes: Sequence[Route], lease: Lease) -> list[Route]:
        """Write routes; return those that are stored now. The others were changed since they were read."""
        stored = []
        for start in range(0, len(routes), _MAX_ROUTES):
            left = list(routes[start : start + _MAX_ROUTES])
            while left and (changed := self._transact([*_writes_of_routes(left)], lease)):
                left = [route for index, route in enumerate(left) if 2 * index not in changed]
            stored += [replace(route, revision=route.revision + 1) for route in left]
        return stored

    def forget_routes(self, adapters: Iterable[str], lease: Lease) -> None:
        """Delete the routes of adapters."""
        keys = [each for name in adapters for each in (key(ROUTES_PARTITION, name), route_key(name))]
        for batch in in_transactions([delete_action(each) for each in keys], beside=1):
            self._transact(batch, lease)

    def route_by_hand(self, route: Route, orders: Iterable[Order] = ()) -> bool:
        """Write a route and the orders for it at once; return False if it was changed since it was read."""
        return not self._table.transact([*_writes_of_routes([route]), *map(_put_order, orders)])

    # Readings of archives. They need no lease: every pass reads the same of one version.

    def known_archive(self, uri: str) -> ArchiveReading | None:
        """Return the last reading of an archive, None if there is none, or none that can be read."""
        item = self._table.get(**_archive_key(uri))
        if item is not None:
            with suppress(UnreadableError), _reading(item):
                return _structured(item["doc"], ArchiveReading)
        return None

    def remember_archive(self, archive: ArchiveReading) -> None:
        """Store the reading of an archive. It replaces the one before."""
        doc, expires = _text(unstructured(archive)), int(time.time()) + HISTORY_SECONDS
        self._table.put(_archive_key(archive.version.uri) | {"doc": doc, "expires": expires})

    # How it is stored.

    def _transact(self, actions: Sequence[Item], lease: Lease) -> list[int]:
        """Carry out all actions or none under a lease; return the indexes of failed conditions."""
        failed = self._table.transact(
            [check_action(_LEASE, condition="#token = :token", token=lease.token), *actions]
        )
        if 0 in failed:
            raise _lost(lease)
        return [index - 1 for index in failed]


def _opening(made: Generation, superseded: Generation | None, chunks: Sequence[Item]) -> list[Item]:
    """Return the transaction that makes a generation, unless another one was made meanwhile."""
    absent = "attribute_not_exists(pk)"
    delivery = key("deliveries", made.request.delivery) | {"number": made.number}
    item = _generation_key(made.number) | _generation_attributes(made) | {"desired": chunks[0]["pk"]}
    actions = [
        put_action(delivery, condition=absent),
        put_action(item, condition=absent),
        update_action(
            _FLEET,
            "SET generation = :number",
            condition="generation = :before",
            number=made.number,
            before=made.number - 1,
        ),
        *(update_action(key(chunk["pk"], chunk["sk"]), "REMOVE expires") for chunk in chunks),
    ]
    if superseded is not None:
        actions.append(_change_of_outcome(superseded, before=Outcome.OPEN))
    return actions


def _change_of_outcome(generation: Generation, *, before: Outcome) -> Item:
    """Return the action that sets a generation's outcome, if its stored outcome is `before`."""
    stored = _generation_attributes(generation)
    return update_action(
        _generation_key(generation.number),
        "SET outcome = :outcome, #end = :end",
        condition="outcome = :before",
        outcome=stored["outcome"],
        end=stored["end"],
        before=before,
    )


@contextmanager
def _reading(item: Item) -> Iterator[None]:
    """Raise UnreadableError for any exception while an item is read: it may hold anything."""
    try:
        yield
    except Exception as error:
        raise UnreadableError(
            f"row '{item['sk']}' of '{item['pk']}' in the registry cannot be read, maybe because a later"
            f" release wrote it: {text_of(error)}"
        ) from error


def _record_of(item: Item) -> AdapterRecord:
    """Return the record of an item."""
    component = item["sk"]
    try:
        with _reading(item):
            document = json.loads(item["doc"])
            details: dict[tuple[str, str | None], Item] = {}
            for artifact in _artifacts_in(document):
                first = details.setdefault(_version_of(artifact), artifact)
                artifact.update(
                    {name: first[name] for name in _DETAILS if name in first and name not in artifact}
                )
            record = converter.structure(document, AdapterRecord)
            if record.component != component:
                raise ValueError(f"it is the record of {record.component!r}")
            return record
    except UnreadableError as error:
        return AdapterRecord(name=component, component=component, unreadable=str(error))


def _history_of(event: Event) -> str:
    """Return the component whose history has an event: all versions of an adapter share one."""
    shared = without_version(event.component)
    return shared if shared.endswith(f"-{event.name}") else event.component


def _event_of(component: str, item: Item) -> Event:
    try:
        with _reading(item):
            return _structured(item["doc"], Event)
    except UnreadableError as error:
        at = float(item["sk"].partition("#")[0])
        why = str(error)
        return Event(component=component, name=component, at=at, what="unreadable", generation=0, cause=why)


def _order_of(item: Item) -> Order:
    """Return the order of an item. Raises UnreadableError, also if a pass could not remove the item."""
    with _reading(item):
        order = _structured(item["doc"], Order)
        stored = key(item["pk"], item["sk"]) | {"at": item["at"]}
        if stored != _order_key(order) | {"at": Decimal(repr(order.at))}:
            raise ValueError("its document has another key or time")
        return order


def _route_of(item: Item) -> Route:
    """Return the route of an item. Raises UnreadableError, also if a pass could not use or write it."""
    with _reading(item):
        route = replace(_structured(item["doc"], Route), revision=int(item["revision"]))
        if route.adapter != item["sk"] or not route.versions or not item["revision"] == route.revision >= 1:
            raise ValueError("it is of another adapter, names no component, or has no revision")
        return route


def _digest(document: str, revision: int) -> str:
    """Return the digest of a route's document and revision: of a row that somebody edited, it is another."""
    return hashlib.sha256(f"{revision} {document}".encode()).hexdigest()[:16]


def _document_of(record: AdapterRecord) -> dict[str, Any]:
    """Return the document of a record. Of equal artifacts, only the first one has all details.

    Each further one has only the details in which it differs from the first. An artifact that is only
    compared with others has none.
    """
    document = unstructured(record)
    details: dict[tuple[str, str | None], Item] = {}
    for artifact in _artifacts_in(document):
        own = {name: artifact.pop(name, None) for name in _DETAILS}
        first = details.get(_version_of(artifact), dict.fromkeys(_DETAILS))
        details.setdefault(_version_of(artifact), own)
        artifact.update({name: own[name] for name in _DETAILS if own[name] != first[name]})
    failure, probed = document.get("failure", {}), document.get("probed", {})
    for compared in (document.get("passed"), failure.get("artifact"), probed.get("artifact")):
        for name in _DETAILS:
            (compared or {}).pop(name, None)
    return document


def _artifacts_in(document: Item) -> list[Item]:
    """Return the artifacts of a record's document whose details count."""
    intent = document.get("intent") or {}
    found = [document.get("serving"), *document.get("versions", ()), intent.get("artifact")]
    return [artifact for artifact in (*found, document.get("last_good")) if artifact is not None]


def _version_of(artifact: Item) -> tuple[str, str | None]:
    return artifact["uri"], artifact.get("digest")


def _lost(lease: Lease) -> LeaseLostError:
    return LeaseLostError(f"the lease of {lease.owner} (token {lease.token}) has been given to another")


def _learned(fleet: FleetRecord) -> bytes:
    # Compressed, because it names every foreign component on the endpoint.
    text = _text({name: value for name, value in unstructured(fleet).items() if name not in _NOT_LEARNED})
    return gzip.compress(text.encode(), mtime=0)


def _generation_key(number: int) -> Item:
    return key("generations", f"{number:010}")


def _generation_attributes(generation: Generation) -> dict[str, str]:
    """Return the stored attributes of a generation: its document, its outcome, and how it ended.

    The outcome is apart from the document: a newer generation ends this one without touching its progress.
    """
    progress = replace(generation, outcome=Outcome.OPEN, reason=None, ended=None)
    return {
        "doc": _text(unstructured(progress)),
        "outcome": generation.outcome.value,
        "end": _text({"reason": generation.reason, "ended": generation.ended}),
    }


def _archive_key(uri: str) -> Item:
    # A sort key may have 1,024 bytes (DynamoDB's service quotas), and a URI may have more.
    return key("archives", hashlib.sha256(uri.encode()).hexdigest())


def _order_key(order: Order) -> Item:
    return key(ORDERS_PARTITION, f"{order.component}#{order.kind}")


def _put_order(order: Order, *, condition: str | None = None, **values: object) -> Item:
    item = _order_key(order) | {"at": float(order.at), "doc": _text(unstructured(order))}
    return put_action(item, condition=condition, **values)


def _writes_of_routes(routes: Iterable[Route]) -> Iterator[Item]:
    """Yield the two actions for each route, the first of which fails if another revision is stored."""
    for route in routes:
        before = {"before": route.revision} if route.revision else {}
        document = _text(unstructured(replace(route, revision=0)))
        yield update_action(
            key(ROUTES_PARTITION, route.adapter),
            "SET doc = :doc, revision = :next, digest = :digest",
            condition="revision = :before" if before else "attribute_not_exists(pk)",
            doc=document,
            next=route.revision + 1,
            digest=_digest(document, route.revision + 1),
            **before,
        )
        published = unstructured(replace(route, revision=route.revision + 1).published)
        digest = _digest(_text(published), route.revision + 1)
        yield put_action(route_key(route.adapter) | published | {"digest": digest})


def _chunks(desired: DesiredFleet, *, expires: float) -> list[Item]:
    """Return the items that hold a desired state, under a partition key of their own."""
    compressed = gzip.compress(desired.to_json(), mtime=0)
    pk = f"desired#{uuid.uuid4().hex}"
    return [
        _chunk_key(pk, start // _CHUNK_BYTES)
        | {"bytes": compressed[start : start + _CHUNK_BYTES], "expires": int(expires)}
        for start in range(0, len(compressed), _CHUNK_BYTES)
    ]


def _chunk_key(pk: str, index: int) -> Item:
    return key(pk, f"{index:04}")


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _structured(text: str, type_: type[_Value]) -> _Value:
    return converter.structure(json.loads(text), type_)
