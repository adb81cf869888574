"""The registry in one DynamoDB table, which is one fleet's alone.

Keys are `pk` and `sk`, both strings; the attribute of the table's time to live is `expires`.

| pk | sk | what |
|---|---|---|
| `fleet` | `fleet` | the fleet: its own attributes, and `learned` (compressed JSON) |
| `fleet` | `lease` | owner, token and end of the lease |
| `records` | component | one adapter (JSON) |
| `generations` | number | one generation: `doc` (JSON), and how it ended |
| `desired#<id>` | number | what a generation wants: compressed JSON in chunks |
| `deliveries` | delivery | number of the generation that it made |
| `orders` | component and kind | one order (JSON) |
| `history#<component>` | time | one event (JSON), for 400 days |
| `archives` | SHA-256 of the URI | what was read of one archive (JSON), for 400 days |

Every write under a lease is a transaction with a check of the lease's item, so that a pass whose lease is
gone changes nothing, however late its request arrives. Every read is strongly consistent.
"""

import gzip
import hashlib
import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.naming import ORDERS_PARTITION
from adapter_fleet.common.serialization import converter, unstructured
from adapter_fleet.fleet.state.archive_version import ArchiveReading
from adapter_fleet.fleet.state.generations import (
    Generation,
    Outcome,
    Request,
    accepts,
    new_generation,
    superseded_by,
)
from adapter_fleet.fleet.state.orders import Order
from adapter_fleet.fleet.state.records import AdapterRecord, Event, FleetRecord
from adapter_fleet.fleet.state.registry import Lease, LeaseLostError, OvertakenError
from adapter_fleet.manifest.desired import DesiredFleet

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_Value = TypeVar("_Value")
_Item = dict[str, Any]

HISTORY_SECONDS = 400 * 24 * 3600
"""How long an event is kept: a year, and the comparison with the year before."""

_ORPHAN_SECONDS = 24 * 3600
"""How long chunks are kept whose generation was never made."""

_CHUNK_BYTES = 350_000
"""An item may have 400 KB (DynamoDB's service quotas)."""

_TRANSACTION_ITEMS = 100
_BATCH_ITEMS = 25
"""What one TransactWriteItems and one BatchWriteItem may hold."""

_ATTEMPTS = 60
"""At what another writer keeps in the way of, or the table throttles; a minute in all."""

_FLEET = {"pk": {"S": "fleet"}, "sk": {"S": "fleet"}}
_LEASE = {"pk": {"S": "fleet"}, "sk": {"S": "lease"}}

_NOT_LEARNED = ("uid", "name", "machine", "generation", "runner", "runner_at")
"""What of the fleet does not come from passes: each is an attribute of its own."""

_LEARNED = frozenset(field.name for field in fields(FleetRecord)) - frozenset(_NOT_LEARNED)

_CONFLICTS = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Reasons of a cancelled transaction that say nothing of its conditions."""


class DynamoDbRegistry:
    """`Registry` on DynamoDB. May be used by several threads.

    table_name:
        The fleet's table.
    client:
        A boto3 client of DynamoDB.
    sleep:
        Waits the seconds between attempts.

    `put` and `forget` are atomic for each 99 records, `append` and `order` for each event or order.
    """

    def __init__(
        self, table_name: str, client: "DynamoDBClient", *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._table = table_name
        self._client = client
        self._sleep = sleep
        # Transactions that check the lease's item at the same time get in each other's way.
        self._writing = threading.Lock()
        self._known_desired: dict[str, DesiredFleet] = {}

    # The fleet and its generations.

    def fleet(self) -> FleetRecord | None:
        """Return the fleet, None before it is registered."""
        item = self._get(_FLEET)
        if item is None:
            return None
        learned = json.loads(gzip.decompress(item["learned"]["B"])) if "learned" in item else {}
        return FleetRecord(
            # Of a later version of this code there may be more: a rollback brings back the functions first.
            **{name: value for name, value in learned.items() if name in _LEARNED},
            uid=item["uid"]["S"],
            name=item["name"]["S"],
            machine=item["machine"]["S"],
            generation=int(item["generation"]["N"]),
            runner=item["runner"]["S"] if "runner" in item else None,
            runner_at=float(item["runner_at"]["N"]),
        )

    def register(self, fleet: FleetRecord) -> None:
        """Make the fleet, or note its name and its machine where it is there."""
        item: _Item = {
            **_FLEET,
            "uid": {"S": fleet.uid},
            "name": {"S": fleet.name},
            "machine": {"S": fleet.machine},
            "generation": {"N": str(fleet.generation)},
            "runner_at": _number(fleet.runner_at),
            "learned": {"B": _learned(fleet)},
        }
        if fleet.runner is not None:
            item["runner"] = {"S": fleet.runner}
        self._unless(
            lambda: self._client.put_item(
                TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(pk)"
            )
        )
        self._unless(
            lambda: self._client.update_item(
                TableName=self._table,
                Key=_FLEET,
                UpdateExpression="SET #name = :name, machine = :machine",
                ConditionExpression="#name <> :name OR machine <> :machine",
                ExpressionAttributeNames={"#name": "name"},
                ExpressionAttributeValues={":name": {"S": fleet.name}, ":machine": {"S": fleet.machine}},
            )
        )

    def open_generation(
        self, request: Request, desired: DesiredFleet, *, after: int | None = None
    ) -> Generation:
        """Number a request and make it the newest; a delivery that is known keeps its number.

        LookupError where the fleet is not registered, ValueError where it is being deleted.
        """
        chunks: list[_Item] = []
        for attempt in range(_ATTEMPTS):
            delivery = self._get({"pk": {"S": "deliveries"}, "sk": {"S": request.delivery}})
            if delivery is not None:
                known = self.generation(int(delivery["number"]["N"]))
                assert known is not None  # one transaction made both
                return known
            fleet = self._get(_FLEET)
            if fleet is None:
                raise LookupError("the fleet is not registered")
            newest = self.generation(int(fleet["generation"]["N"]))
            if after is not None and int(fleet["generation"]["N"]) != after:
                raise OvertakenError(f"generation {after} is not the newest any more")
            if not accepts(newest, request):
                raise ValueError("the fleet is being deleted and takes no other requests")
            made = new_generation(request, newest, self.generation)
            if not chunks:
                # Not to be seen before the generation is: nothing else knows their key.
                chunks = _chunks(desired, expires=request.at + _ORPHAN_SECONDS)
                self._batch_put(chunks)
            superseded = superseded_by(made, newest, self.generation)
            if self._transact(self._opening(made, superseded, chunks)):
                return made
            self._wait(attempt)
        raise TimeoutError(f"the registry takes no new generation, after {_ATTEMPTS} attempts")

    def generation(self, number: int) -> Generation | None:
        """Return a generation, None where there is none of that number."""
        item = self._get(_generation_key(number))
        if item is None:
            return None
        end = json.loads(item["end"]["S"])
        return replace(
            _structured(item["doc"]["S"], Generation), outcome=Outcome(item["outcome"]["S"]), **end
        )

    def desired(self, number: int) -> DesiredFleet:
        """Return what a generation wants; LookupError where there is none of that number."""
        item = self._get(_generation_key(number))
        if item is None:
            raise LookupError(f"there is no generation {number}")
        key = item["desired"]["S"]
        if key not in self._known_desired:
            compressed = b"".join(chunk["bytes"]["B"] for chunk in self._query(key))
            # A Lambda that stays warm reads it once; it needs the newest and the last that converged.
            while len(self._known_desired) >= 4:
                self._known_desired.pop(next(iter(self._known_desired)))
            self._known_desired[key] = DesiredFleet.from_json(gzip.decompress(compressed))
        return self._known_desired[key]

    def save_generation(self, generation: Generation, lease: Lease) -> None:
        """Note how far a generation is. An outcome that is not OPEN stays, with its reason and its time."""
        doc, outcome, end = _generation_attributes(generation)
        key = _generation_key(generation.number)
        open_ = {
            "Key": key,
            "UpdateExpression": "SET doc = :doc, outcome = :outcome, #end = :end",
            "ConditionExpression": "outcome = :open",
            "ExpressionAttributeNames": {"#end": "end"},
            "ExpressionAttributeValues": {
                ":doc": doc,
                ":outcome": outcome,
                ":end": end,
                ":open": {"S": Outcome.OPEN},
            },
        }
        ended = {
            "Key": key,
            "UpdateExpression": "SET doc = :doc",
            "ConditionExpression": "outcome <> :open AND attribute_exists(pk)",
            "ExpressionAttributeValues": {":doc": doc, ":open": {"S": Outcome.OPEN}},
        }
        if not self._fenced([{"Update": open_}], lease) and not self._fenced([{"Update": ended}], lease):
            raise LookupError(f"there is no generation {generation.number}")

    def reopen(self, number: int, lease: Lease) -> Generation:
        """Let a superseded generation go on, as what superseded it was refused; return it.

        LookupError where there is none of that number.
        """
        superseded = self.generation(number)
        if superseded is None:
            raise LookupError(f"there is no generation {number}")
        opened = replace(superseded, outcome=Outcome.OPEN, ended=None)
        self._fenced([{"Update": _changed_outcome(opened, before=Outcome.SUPERSEDED)}], lease)
        return self.generation(number) or opened

    def save_fleet(self, fleet: FleetRecord, lease: Lease) -> None:
        """Note what passes learn. The generation and the runner are not touched."""
        update = {
            "Key": _FLEET,
            "UpdateExpression": "SET learned = :learned",
            "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeValues": {":learned": {"B": _learned(fleet)}},
        }
        if not self._fenced([{"Update": update}], lease):
            raise LookupError("the fleet is not registered")

    # The adapters.

    def records(self) -> dict[str, AdapterRecord]:
        """Return the record of every adapter, by component name."""
        records = (
            converter.structure(_with_versions(document), AdapterRecord)
            for document in self._json_documents("records")
        )
        return {record.component: record for record in records}

    def record(self, component: str) -> AdapterRecord | None:
        """Return the record of one adapter, None where there is none."""
        item = self._get({"pk": {"S": "records"}, "sk": {"S": component}})
        if item is None:
            return None
        return converter.structure(_with_versions(json.loads(item["doc"]["S"])), AdapterRecord)

    def put(self, records: Iterable[AdapterRecord], lease: Lease) -> None:
        """Write records, 99 at a time: LeaseLostError tells that the rest is not written."""
        items = {
            record.component: {
                "pk": {"S": "records"},
                "sk": {"S": record.component},
                "doc": {"S": _text(unstructured(record))},
            }
            for record in records
        }
        for batch in _batches(list(items.values()), _TRANSACTION_ITEMS - 1):
            self._fenced([{"Put": {"Item": item}} for item in batch], lease)

    def forget(self, components: Iterable[str], lease: Lease) -> None:
        """Delete records, 99 at a time: LeaseLostError tells that the rest is still there."""
        for batch in _batches(list(dict.fromkeys(components)), _TRANSACTION_ITEMS - 1):
            keys = [{"pk": {"S": "records"}, "sk": {"S": component}} for component in batch]
            self._fenced([{"Delete": {"Key": key}} for key in keys], lease)

    # The lease, and who runs.

    def acquire(self, owner: str, now: float, seconds: float) -> Lease | None:
        """Take the lease, None while another owner's has not expired.

        An owner's own is renewed with a higher token: what an earlier call of the same owner may still
        send is as late as anyone else's.
        """
        answer = self._unless(
            lambda: self._client.update_item(
                TableName=self._table,
                Key=_LEASE,
                UpdateExpression="SET #owner = :owner, #until = :until ADD #token :one",
                ConditionExpression="attribute_not_exists(pk) OR #until <= :now OR #owner = :owner",
                ExpressionAttributeNames={"#owner": "owner", "#until": "until", "#token": "token"},
                ExpressionAttributeValues={
                    ":owner": {"S": owner},
                    ":until": _number(now + seconds),
                    ":now": _number(now),
                    ":one": {"N": "1"},
                },
                ReturnValues="UPDATED_NEW",
            )
        )
        if answer is None:
            return None
        return Lease(owner=owner, token=int(answer["Attributes"]["token"]["N"]), expires=now + seconds)

    def renew(self, lease: Lease, now: float, seconds: float) -> Lease:
        """Make the lease last longer."""
        if not self._set_until(lease, now + seconds):
            raise _lost(lease)
        return replace(lease, expires=now + seconds)

    def release(self, lease: Lease) -> None:
        """Give the lease back; nothing where it is lost already."""
        self._set_until(lease, 0.0)

    def _set_until(self, lease: Lease, until: float) -> bool:
        answer = self._unless(
            lambda: self._client.update_item(
                TableName=self._table,
                Key=_LEASE,
                UpdateExpression="SET #until = :until",
                ConditionExpression="#token = :token",
                ExpressionAttributeNames={"#until": "until", "#token": "token"},
                ExpressionAttributeValues={":until": _number(until), ":token": {"N": str(lease.token)}},
            )
        )
        return answer is not None

    def become_runner(self, execution: str, at: float) -> bool:
        """Make an execution the one that runs passes, unless a later one (`at`) is it already.

        Of two that began at the same time, the one with the later name. False without a fleet.
        """
        answer = self._unless(
            lambda: self._client.update_item(
                TableName=self._table,
                Key=_FLEET,
                UpdateExpression="SET runner = :runner, runner_at = :at",
                ConditionExpression=(
                    "attribute_exists(pk) AND (attribute_not_exists(runner) OR runner_at < :at"
                    " OR runner = :runner OR (runner_at = :at AND runner < :runner))"
                ),
                ExpressionAttributeValues={":runner": {"S": execution}, ":at": _number(at)},
            )
        )
        return answer is not None

    # Histories and orders.

    def append(self, events: Sequence[Event]) -> None:
        """Add to the histories. The same event at the same place in a call is the same entry."""
        items = {}
        for index, event in enumerate(events):
            doc = _text(unstructured(event))
            mark = hashlib.sha256(doc.encode()).hexdigest()[:8]
            key = f"{event.at:018.6f}#{index:05}#{mark}"
            items[event.component, key] = {
                "pk": {"S": f"history#{event.component}"},
                "sk": {"S": key},
                "doc": {"S": doc},
                "expires": {"N": str(int(event.at) + HISTORY_SECONDS)},
            }
        self._batch_put(list(items.values()))

    def history(self, component: str, limit: int) -> list[Event]:
        """Return the newest events of an adapter, newest first."""
        return list(self._documents(f"history#{component}", Event, newest=limit))

    def order(self, orders: Iterable[Order]) -> None:
        """Leave orders for the next pass. The last of a kind for a component counts, as the table has it.

        Whoever orders has a clock of their own, and one that is ahead must not win over what comes later.
        """
        last = {_order_key(order): order for order in orders}
        for batch in _batches(list(last.values()), _TRANSACTION_ITEMS):
            puts = [
                {
                    "Put": {
                        "Item": {
                            "pk": {"S": ORDERS_PARTITION},
                            "sk": {"S": _order_key(order)},
                            "at": _number(order.at),
                            "doc": {"S": _text(unstructured(order))},
                        }
                    }
                }
                for order in batch
            ]
            self._transact(puts)

    def orders(self) -> list[Order]:
        """Return the orders that are there, oldest first."""
        orders = self._documents(ORDERS_PARTITION, Order)
        return sorted(orders, key=lambda order: (order.at, order.component, order.kind))

    def take_orders(self, orders: Iterable[Order], lease: Lease) -> None:
        """Remove orders, unless others have replaced them."""
        taken = {_order_key(order): order for order in orders}
        for batch in _batches(list(taken.values()), _TRANSACTION_ITEMS - 1):
            deletes = [
                {
                    "Delete": {
                        "Key": {"pk": {"S": ORDERS_PARTITION}, "sk": {"S": _order_key(order)}},
                        "ConditionExpression": "attribute_not_exists(pk) OR #at = :at",
                        "ExpressionAttributeNames": {"#at": "at"},
                        "ExpressionAttributeValues": {":at": _number(order.at)},
                    }
                }
                for order in batch
            ]
            self._transact_what_may(deletes, lease)

    # Archives that were read. No lease: what was read of a version is true whoever writes it.

    def known_archive(self, uri: str) -> ArchiveReading | None:
        """Return what was read of an archive, None where that is not known (any more)."""
        item = self._get(_archive_key(uri))
        return None if item is None else _structured(item["doc"]["S"], ArchiveReading)

    def remember_archive(self, archive: ArchiveReading) -> None:
        """Remember what was read of an archive, in the place of what was read of it before."""
        item = {
            **_archive_key(archive.version.uri),
            "doc": {"S": _text(unstructured(archive))},
            "expires": {"N": str(int(time.time()) + HISTORY_SECONDS)},
        }
        self._client.put_item(TableName=self._table, Item=item)

    # What is sent.

    def _opening(
        self, made: Generation, superseded: Generation | None, chunks: Sequence[_Item]
    ) -> list[_Item]:
        """Return the transaction that makes a generation, if nobody has made one meanwhile."""
        doc, outcome, end = _generation_attributes(made)
        number = {"N": str(made.number)}
        item = {
            **_generation_key(made.number),
            "doc": doc,
            "outcome": outcome,
            "end": end,
            "desired": chunks[0]["pk"],
        }
        delivery = {
            "pk": {"S": "deliveries"},
            "sk": {"S": made.request.delivery},
            "number": number,
        }
        absent = "attribute_not_exists(pk)"
        actions: list[_Item] = [
            {"Put": {"Item": delivery, "ConditionExpression": absent}},
            {"Put": {"Item": item, "ConditionExpression": absent}},
            {
                "Update": {
                    "Key": _FLEET,
                    "UpdateExpression": "SET generation = :number",
                    "ConditionExpression": "generation = :before",
                    "ExpressionAttributeValues": {
                        ":number": number,
                        ":before": {"N": str(made.number - 1)},
                    },
                }
            },
        ]
        for chunk in chunks:
            key = {"pk": chunk["pk"], "sk": chunk["sk"]}
            actions.append({"Update": {"Key": key, "UpdateExpression": "REMOVE expires"}})
        if superseded is not None:
            actions.append({"Update": _changed_outcome(superseded, before=Outcome.OPEN)})
        return actions

    def _fenced(self, actions: Sequence[_Item], lease: Lease) -> bool:
        """Send a transaction if the lease still holds; tell whether its own conditions held."""
        return not self._refused_under(actions, lease)

    def _refused_under(self, actions: Sequence[_Item], lease: Lease) -> list[int]:
        """Send a transaction under a lease; return which of its actions were refused."""
        check = {
            "ConditionCheck": {
                "Key": _LEASE,
                "ConditionExpression": "#token = :token",
                "ExpressionAttributeNames": {"#token": "token"},
                "ExpressionAttributeValues": {":token": {"N": str(lease.token)}},
            }
        }
        refused = self._refused([check, *actions])
        if 0 in refused:
            raise _lost(lease)
        return [index - 1 for index in refused]

    def _transact_what_may(self, actions: Sequence[_Item], lease: Lease) -> None:
        """Send a transaction without those actions whose conditions do not hold."""
        remaining = list(actions)
        while remaining:
            refused = self._refused_under(remaining, lease)
            if not refused:
                return
            remaining = [action for index, action in enumerate(remaining) if index not in refused]

    def _transact(self, actions: Sequence[_Item]) -> bool:
        """Send a transaction; tell whether its conditions held."""
        return not self._refused(actions)

    def _refused(self, actions: Sequence[_Item]) -> list[int]:
        """Send a transaction; return the indexes of conditions that do not hold, none if it was done."""
        named: Any = [
            {kind: {"TableName": self._table, **details} for kind, details in action.items()}
            for action in actions
        ]
        # The same for each attempt: an earlier one may have been done, and its answer lost.
        token = uuid.uuid4().hex
        for attempt in range(_ATTEMPTS):
            try:
                with self._writing:
                    self._client.transact_write_items(TransactItems=named, ClientRequestToken=token)
                return []
            except self._client.exceptions.TransactionCanceledException as cancelled:
                codes = [reason.get("Code") for reason in cancelled.response["CancellationReasons"]]
                refused = [index for index, code in enumerate(codes) if code == "ConditionalCheckFailed"]
                if refused:
                    return refused
                if not _CONFLICTS.intersection(codes) or attempt == _ATTEMPTS - 1:
                    raise
            self._wait(attempt)
        raise AssertionError("unreachable")

    def _unless(self, send: Callable[[], _Value]) -> _Value | None:
        """Send one write; return None where its condition does not hold."""
        for attempt in range(_ATTEMPTS):
            try:
                return send()
            except self._client.exceptions.ConditionalCheckFailedException:
                return None
            except ClientError as error:
                # Not among what botocore tries again.
                if code_of(error) != "TransactionConflictException":
                    raise
                if attempt == _ATTEMPTS - 1:
                    raise
            self._wait(attempt)
        raise AssertionError("unreachable")

    def _batch_put(self, items: Sequence[_Item]) -> None:
        for batch in _batches(items, _BATCH_ITEMS):
            remaining: Any = {self._table: [{"PutRequest": {"Item": item}} for item in batch]}
            for attempt in range(_ATTEMPTS):
                answer = self._client.batch_write_item(RequestItems=remaining)
                remaining = answer.get("UnprocessedItems")
                if not remaining:
                    break
                self._wait(attempt)
            else:
                raise TimeoutError(f"the table throttles writes, after {_ATTEMPTS} attempts")

    def _get(self, key: Mapping[str, Any]) -> _Item | None:
        return self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")

    def _documents(self, pk: str, type_: type[_Value], *, newest: int | None = None) -> Iterator[_Value]:
        """Yield the JSON documents under a key as records of a type."""
        for document in self._json_documents(pk, newest=newest):
            yield converter.structure(document, type_)

    def _json_documents(self, pk: str, *, newest: int | None = None) -> list[Any]:
        docs = ",".join(item["doc"]["S"] for item in self._query(pk, newest=newest))
        documents: list[Any] = json.loads(f"[{docs}]")
        return documents

    def _query(self, pk: str, *, newest: int | None = None) -> list[_Item]:
        """Return the items under a key: all in order, or the newest ones, newest first."""
        items: list[_Item] = []
        query: Any = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": pk}},
            "ConsistentRead": True,
            "ScanIndexForward": newest is None,
        }
        while newest is None or len(items) < newest:
            if newest is not None:
                query["Limit"] = newest - len(items)
            answer = self._client.query(**query)
            items += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                break
            query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return items

    def _wait(self, attempt: int) -> None:
        """Wait before the next attempt: full jitter, two seconds at most."""
        self._sleep(random.uniform(0, min(2.0, 0.02 * 2.0**attempt)))


def _with_versions(document: dict[str, Any]) -> dict[str, Any]:
    """Return a record's document with the versions that served; earlier releases kept two of them."""
    if "versions" in document:
        return document
    known = [document[key] for key in ("last_good", "previous") if document.get(key) is not None]
    return {**document, "versions": known}


def _lost(lease: Lease) -> LeaseLostError:
    return LeaseLostError(f"the lease of {lease.owner} (token {lease.token}) has been given to another")


def _learned(fleet: FleetRecord) -> bytes:
    # Compressed: it names every component on the endpoint that is someone else's.
    text = _text({name: value for name, value in unstructured(fleet).items() if name not in _NOT_LEARNED})
    return gzip.compress(text.encode(), mtime=0)


def _changed_outcome(generation: Generation, *, before: Outcome) -> _Item:
    """Return the update that gives a generation its outcome, where it has that one so far."""
    _, outcome, end = _generation_attributes(generation)
    return {
        "Key": _generation_key(generation.number),
        "UpdateExpression": "SET outcome = :outcome, #end = :end",
        "ConditionExpression": "outcome = :before",
        "ExpressionAttributeNames": {"#end": "end"},
        "ExpressionAttributeValues": {":outcome": outcome, ":end": end, ":before": {"S": before}},
    }


def _generation_key(number: int) -> _Item:
    return {"pk": {"S": "generations"}, "sk": {"S": f"{number:010}"}}


def _generation_attributes(generation: Generation) -> tuple[_Item, _Item, _Item]:
    """Return the document, the outcome and what belongs to the outcome.

    Apart, since a newer generation ends the one before without touching how far it is.
    """
    rest = replace(generation, outcome=Outcome.OPEN, reason=None, ended=None)
    end = {"reason": generation.reason, "ended": generation.ended}
    return {"S": _text(unstructured(rest))}, {"S": generation.outcome.value}, {"S": _text(end)}


def _archive_key(uri: str) -> _Item:
    # A sort key has at most 1,024 bytes.
    return {"pk": {"S": "archives"}, "sk": {"S": hashlib.sha256(uri.encode()).hexdigest()}}


def _order_key(order: Order) -> str:
    return f"{order.component}#{order.kind}"


def _chunks(desired: DesiredFleet, *, expires: float) -> list[_Item]:
    """Return the items that hold what a generation wants, under a key that is theirs alone."""
    compressed = gzip.compress(desired.to_json(), mtime=0)
    key = f"desired#{uuid.uuid4().hex}"
    return [
        {
            "pk": {"S": key},
            "sk": {"S": f"{start // _CHUNK_BYTES:04}"},
            "bytes": {"B": compressed[start : start + _CHUNK_BYTES]},
            "expires": {"N": str(int(expires))},
        }
        for start in range(0, len(compressed), _CHUNK_BYTES)
    ]


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _structured(text: str, type_: type[_Value]) -> _Value:
    return converter.structure(json.loads(text), type_)


def _number(value: float) -> _Item:
    return {"N": repr(float(value))}


def _batches(values: Sequence[_Value], size: int) -> Iterator[Sequence[_Value]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
