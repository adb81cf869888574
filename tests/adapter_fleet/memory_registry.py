"""The registry over a DynamoDB in memory: conditions, transactions, pages and the limits in bytes.

`fleet/state/test_registry.py` asks it and the embedded cloud the same.
"""

from __future__ import annotations

import operator
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from adapter_fleet.fleet.state.dynamodb_table import key, put_action
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.rows.leased_table import Lease

Item = dict[str, Any]

MAX_ITEM_BYTES = 400 * 1024
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
MAX_PAGE_BYTES = 1024 * 1024
_MAX_TRANSACTION_ACTIONS, _MAX_BATCH_ITEMS, _MAX_KEY_BYTES = 100, 25, 1024
_MAX_BATCH_KEYS = 100

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
}

_plain = TypeDeserializer().deserialize

_OPERATIONS = ("get_item", "query", "put_item", "update_item", "batch_write_item", "transact_write_items")


class ConditionFailedError(ClientError):
    """The condition of a write does not hold."""


class CanceledError(ClientError):
    """A transaction did nothing."""


class MemoryDynamoDb:
    """A client of one table in memory. Every call holds one lock, and no item ever changes in place."""

    exceptions = SimpleNamespace(
        ConditionalCheckFailedException=ConditionFailedError, TransactionCanceledException=CanceledError
    )

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.items: dict[str, dict[str, Item]] = {}
        """Items by `pk` and `sk`."""
        self.before: Callable[[str], None] = lambda _operation: None
        """Called before each operation of DynamoDB; what it raises is the answer."""

    def __getattribute__(self, name: str) -> Any:
        if name in _OPERATIONS:
            self.before(name)
        return super().__getattribute__(name)

    def copy_items(self) -> dict[str, dict[str, Item]]:
        with self._lock:
            return {pk: dict(items) for pk, items in self.items.items()}

    # --- reads

    def get_item(self, *, Key: Item, **_: Any) -> Item:  # noqa: N803
        with self._lock:
            found = self._find(Key)
        return {} if found is None else {"Item": found}

    def batch_get_item(self, *, RequestItems: Mapping[str, Item]) -> Item:  # noqa: N803
        [(table, asked)] = RequestItems.items()
        _require(len(asked["Keys"]) <= _MAX_BATCH_KEYS, f"{len(asked['Keys'])} keys in a batch")
        with self._lock:
            found = [item for key in asked["Keys"] if (item := self._find(key)) is not None]
        return {"Responses": {table: found}}

    def query(self, **request: Any) -> Item:
        """Return a page of the items with one `pk`."""
        _require(request["KeyConditionExpression"] == "pk = :pk", "unknown condition")
        _require(request["ConsistentRead"], "it may miss what was just written")
        forward, start = request.get("ScanIndexForward", True), request.get("ExclusiveStartKey")
        with self._lock:
            partition = self.items.get(request["ExpressionAttributeValues"][":pk"]["S"], {})
            keys = sorted(partition, reverse=not forward)
            if start is not None:
                keys = keys[keys.index(start["sk"]["S"]) + 1 :]
            page: list[Item] = []
            size = 0
            for sk in keys:
                if size >= MAX_PAGE_BYTES or len(page) == request.get("Limit"):
                    return {"Items": page, "LastEvaluatedKey": {"pk": page[-1]["pk"], "sk": page[-1]["sk"]}}
                page.append(partition[sk])
                size += bytes_of(partition[sk])
        return {"Items": page}

    # --- writes

    def put_item(self, **request: Any) -> Item:
        self._write("Put", request)
        return {}

    def update_item(self, **request: Any) -> Item:
        made = self._write("Update", request)
        changed = [name for _, name, _ in _changes(request)]
        return {"Attributes": {name: made[name] for name in changed if name in made}}

    def batch_write_item(self, *, RequestItems: Mapping[str, Sequence[Item]]) -> Item:  # noqa: N803
        [writes] = RequestItems.values()
        puts = [write["PutRequest"] for write in writes]
        _require(len(puts) <= _MAX_BATCH_ITEMS, f"{len(puts)} items in a batch")
        _require(len({_key(put) for put in puts}) == len(puts), "one item twice in a batch")
        for put in puts:
            self._write("Put", put)
        return {}

    def transact_write_items(self, *, TransactItems: Sequence[Item], **_: Any) -> Item:  # noqa: N803
        actions = [next(iter(action.items())) for action in TransactItems]
        keys = [_key(details) for _, details in actions]
        _require(len(keys) <= _MAX_TRANSACTION_ACTIONS, f"{len(keys)} actions in a transaction")
        _require(len(set(keys)) == len(keys), "one item twice in a transaction")
        with self._lock:
            before = [self._find(details.get("Key") or details["Item"]) for _, details in actions]
            held = [_holds(details, item) for (_, details), item in zip(actions, before, strict=True)]
            if not all(held):
                codes = ["None" if holds else "ConditionalCheckFailed" for holds in held]
                answer = {"Error": {}, "CancellationReasons": [{"Code": code} for code in codes]}
                raise CanceledError(cast("Any", answer), "TransactWriteItems")
            after = [_made(*action, item) for action, item in zip(actions, before, strict=True)]
            size = sum(bytes_of(made or item or {}) for made, item in zip(after, before, strict=True))
            _require(size <= MAX_TRANSACTION_BYTES, f"a transaction of {size:,} bytes")
            for (pk, sk), made in zip(keys, after, strict=True):
                self._store(pk, sk, made)
        return {}

    # --- items

    def _find(self, key: Item) -> Item | None:
        return self.items.get(key["pk"]["S"], {}).get(key["sk"]["S"])

    def _store(self, pk: str, sk: str, item: Item | None) -> None:
        if item is None:
            self.items.get(pk, {}).pop(sk, None)
        else:
            self.items.setdefault(pk, {})[sk] = item

    def _write(self, kind: str, request: Item) -> Item:
        with self._lock:
            before = self._find(request.get("Key") or request["Item"])
            if not _holds(request, before):
                raise ConditionFailedError({"Error": {"Code": "ConditionalCheckFailedException"}}, kind)
            made = _made(kind, request, before)
            self._store(*_key(request), made)
        return made or {}


def bytes_of(item: Item) -> int:
    """Return the bytes of an item: its names, and its values in UTF-8. A number counts with its digits."""
    return sum(
        len(name) + len(value if isinstance(value, bytes) else str(value).encode())
        for name, typed in item.items()
        for value in typed.values()
    )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ClientError({"Error": {"Code": "ValidationException", "Message": otherwise}}, "Write")


def _key(request: Item) -> tuple[str, str]:
    key = request.get("Key") or request["Item"]
    return key["pk"]["S"], key["sk"]["S"]


def _made(kind: str, request: Item, before: Item | None) -> Item | None:
    """Return the item after a write; None if there is none."""
    if kind == "ConditionCheck":
        return before
    if kind == "Delete":
        return None
    made: Item = request["Item"] if kind == "Put" else _updated(before or request["Key"], request)
    size = bytes_of(made)
    _require(size <= MAX_ITEM_BYTES, f"Item size has exceeded the maximum allowed size: {size:,} bytes")
    _require(all(len(part.encode()) <= _MAX_KEY_BYTES for part in _key(request)), "the key is too long")
    return made


def _updated(item: Item, request: Item) -> Item:
    """Return an item after the changes of an update expression."""
    updated = dict(item)
    for verb, name, value in _changes(request):
        if verb == "REMOVE":
            updated.pop(name, None)
        elif verb == "SET":
            updated[name] = value
        else:
            updated[name] = {"N": str(int(updated.get(name, {"N": "0"})["N"]) + int(value["N"]))}
    return updated


def _changes(request: Item) -> list[tuple[str, str, Any]]:
    """Return the verb, the attribute and the value of each change of an update expression."""
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    changes = []
    clauses = re.findall(r"(SET|ADD|REMOVE) (.*?)(?= SET| ADD| REMOVE|$)", request["UpdateExpression"])
    for verb, clause in clauses:
        for change in clause.split(", "):
            name, _, value = change.replace(" = ", " ").partition(" ")
            changes.append((verb, names.get(name, name), values.get(value)))
    return changes


def _holds(request: Item, item: Item | None) -> bool:
    """Return True if the condition of a write holds for an item."""
    there = item or {}
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})

    def exists(found: re.Match[str]) -> str:
        is_there = names.get(found[2], found[2]) in there
        return str(int(is_there != bool(found[1])))

    def compare(found: re.Match[str]) -> str:
        stored, value = there.get(names.get(found[1], found[1])), values[found[3]]
        if stored is None or stored.keys() != value.keys():
            return str(int(found[2] == "<>"))
        return str(int(_OPERATORS[found[2]](_plain(stored), _plain(value))))

    text = re.sub(r"attribute_(not_)?exists\((\S+?)\)", exists, request.get("ConditionExpression", "1"))
    text = re.sub(r"([#\w]+) (=|<>|<=|<) (:\w+)", compare, text)
    while text not in ("0", "1"):
        text = re.sub(r"\(([01])\)", r"\1", text)
        text, ands = re.subn("([01]) AND ([01])", lambda both: min(both[1], both[2]), text)
        if not ands:
            text = re.sub("(?<!AND )([01]) OR ([01])(?! AND)", lambda both: max(both[1], both[2]), text)
    return text == "1"


class MemoryRegistry(Registry):
    """`Registry` for one process, with what backups and people do to its table."""

    def __init__(self) -> None:
        self.client = MemoryDynamoDb()
        super().__init__("registry", self.client)  # type: ignore[arg-type]

    @property
    def items(self) -> dict[str, dict[str, Item]]:
        """The items as they are stored, by `pk` and `sk`."""
        return self.client.items

    def on_call(self, act: Callable[[str], None]) -> None:
        """From now on, act before each call of DynamoDB, which may raise an error."""
        self.client.before = act

    def clone(self) -> MemoryRegistry:
        """Return a copy."""
        copy = MemoryRegistry()
        copy.items.update(self.client.copy_items())
        return copy

    def restore(self, backup: MemoryRegistry) -> None:
        """Restore a backup. The holder of the lease loses it."""
        token = self.lease_token + 1
        self.client.items = backup.client.copy_items()
        self.write("fleet", "lease", owner="", token=token, until=0)

    def write(self, pk: str, sk: str, **attributes: object) -> None:
        """Write any item, as a person or another release may."""
        self.client.put_item(**put_action(key(pk, sk) | attributes)["Put"])

    def expire(self, now: float) -> None:
        """Delete what has expired, as the table's time to live does."""
        for items in self.items.values():
            for sk in [
                sk for sk, item in items.items() if float(item.get("expires", {"N": "inf"})["N"]) <= now
            ]:
                del items[sk]

    def spoil(self, pk: str, sk: str) -> str:
        """Write an item that nobody can read; return what is said of it."""
        self.write(pk, sk, doc="x")
        return (
            f"row '{sk}' of '{pk}' in the registry cannot be read, maybe because a later release wrote it:"
            " JSONDecodeError: Expecting value: line 1 column 1 (char 0)"
        )

    def overwrite(self, record: AdapterRecord) -> None:
        """Write a record without the lease."""
        self.records.put([record], Lease(owner="", token=self.lease_token, expires=0.0))

    @property
    def lease_token(self) -> int:
        """The token of the newest lease; 0 before the first."""
        lease = self.items.get("fleet", {}).get("lease")
        return 0 if lease is None else int(lease["token"]["N"])

    def generation_numbers(self) -> list[int]:
        """Return the numbers of all generations."""
        return [int(number) for number in self.items.get("generations", {})]
