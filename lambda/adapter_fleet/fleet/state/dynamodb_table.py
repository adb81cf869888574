"""One DynamoDB table: plain Python values in and out, conditional writes, and retries.

The keys of the table are `pk` and `sk`, both strings. Every read is strongly consistent.
"""

import random
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
"""An item with plain Python values, or the parameters of a write."""

_Value = TypeVar("_Value")

MAX_TRANSACTION_ACTIONS = 100
"""Actions in one TransactWriteItems (DynamoDB's service quotas)."""

MAX_TRANSACTION_BYTES = 3_500_000
"""Bytes of the items in one TransactWriteItems: DynamoDB's service quotas allow 4 MB, with all overhead."""

_MAX_BATCH_ITEMS = 25
"""Items in one BatchWriteItem (DynamoDB's service quotas)."""

_MAX_BATCH_KEYS = 100
"""Items in one BatchGetItem (DynamoDB's service quotas)."""

_MAX_ATTEMPTS = 60
_MAX_WAIT_SECONDS = 2.0
_FIRST_WAIT_SECONDS = 0.02
"""Attempts at a write that is throttled, or that another writer is in the way of: about a minute in all."""

_CONTENDED = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Reasons of a cancelled transaction that have nothing to do with its conditions."""


class DynamoDbTable:
    """A table that several threads may use."""

    def __init__(self, name: str, client: "DynamoDBClient", *, sleep: Callable[[float], None]) -> None:
        self._name, self._client, self._sleep = name, client, sleep
        # Transactions that check the same item at the same time conflict.
        self._transacting = threading.Lock()

    # Reads.

    def get(self, pk: str, sk: str) -> Item | None:
        """Return an item, None if it does not exist."""
        found = self._client.get_item(TableName=self._name, Key=_typed(key(pk, sk)), ConsistentRead=True)
        return _plain(found["Item"]) if "Item" in found else None

    def query(self, pk: str, *, newest: int | None = None) -> list[Item]:
        """Return the items with a partition key in the order of `sk`, or the newest ones, newest first."""
        items: list[Item] = []
        query: Any = {
            "TableName": self._name,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": _typed({":pk": pk}),
            "ConsistentRead": True,
            "ScanIndexForward": newest is None,
        }
        while newest is None or len(items) < newest:
            if newest is not None:
                query["Limit"] = newest - len(items)
            answer = self._client.query(**query)
            items += map(_plain, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                break
            query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return items

    def get_all(self, keys: Sequence[Item]) -> list[Item]:
        """Return those of many items that exist, in any order. Raises TimeoutError."""
        items: list[Item] = []
        for start in range(0, len(keys), _MAX_BATCH_KEYS):
            batch = {"Keys": [*map(_typed, keys[start : start + _MAX_BATCH_KEYS])], "ConsistentRead": True}
            remaining: Any = {self._name: batch}
            for _ in self.attempts():
                answer = self._client.batch_get_item(RequestItems=remaining)
                items += map(_plain, answer["Responses"].get(self._name, ()))
                remaining = answer.get("UnprocessedKeys")
                if not remaining:
                    break
            else:
                raise TimeoutError(f"the table throttles reads, after {_MAX_ATTEMPTS} attempts")
        return items

    # Writes of one item.

    def put(self, item: Item) -> None:
        """Write an item without a condition."""
        self._client.put_item(TableName=self._name, Item=_typed(item))

    def put_new(self, item: Item) -> None:
        """Write an item unless one with its key exists."""
        put = put_action(item, condition="attribute_not_exists(pk)")["Put"]
        self._write(lambda: self._client.put_item(TableName=self._name, **put))

    def update(self, key: Item, change: str, *, condition: str, **values: object) -> Item | None:
        """Change attributes of an item; return the new ones, None if the condition fails."""
        update = update_action(key, change, condition=condition, **values)["Update"]
        answer = self._write(
            lambda: self._client.update_item(TableName=self._name, ReturnValues="UPDATED_NEW", **update)
        )
        return None if answer is None else _plain(answer.get("Attributes", {}))

    def _write(self, send: Callable[[], _Value]) -> _Value | None:
        """Send a conditional write; return None if its condition fails."""
        for last in self.attempts():
            try:
                return send()
            except self._client.exceptions.ConditionalCheckFailedException:
                return None
            except ClientError as error:
                # botocore does not retry this one.
                if last or code_of(error) != "TransactionConflictException":
                    raise
        raise AssertionError("unreachable")

    # Writes of many items.

    def put_all(self, items: Sequence[Item]) -> None:
        """Write items without conditions, and not as a whole. Raises TimeoutError."""
        # boto3's batch writer retries what a throttled table leaves over at once, and without an end.
        for start in range(0, len(items), _MAX_BATCH_ITEMS):
            batch = items[start : start + _MAX_BATCH_ITEMS]
            remaining: Any = {self._name: [{"PutRequest": {"Item": _typed(item)}} for item in batch]}
            for _ in self.attempts():
                remaining = self._client.batch_write_item(RequestItems=remaining).get("UnprocessedItems")
                if not remaining:
                    break
            else:
                raise TimeoutError(f"the table throttles writes, after {_MAX_ATTEMPTS} attempts")

    def transact(self, actions: Sequence[Item]) -> list[int]:
        """Carry out all actions or none; return the indexes of failed conditions, none if it was done."""
        named: Any = [
            {kind: {"TableName": self._name, **details} for kind, details in action.items()}
            for action in actions
        ]
        # The same token for each attempt: an earlier one may have been done, and its answer lost.
        token = uuid.uuid4().hex
        for last in self.attempts():
            try:
                with self._transacting:
                    self._client.transact_write_items(TransactItems=named, ClientRequestToken=token)
                return []
            except self._client.exceptions.TransactionCanceledException as cancelled:
                codes = [reason.get("Code") for reason in cancelled.response["CancellationReasons"]]
                failed = [index for index, code in enumerate(codes) if code == "ConditionalCheckFailed"]
                if failed:
                    return failed
                if last or not _CONTENDED.intersection(codes):
                    raise
        raise AssertionError("unreachable")

    def attempts(self) -> Iterator[bool]:
        """Yield for each attempt whether it is the last one; wait between attempts, with full jitter."""
        for attempt in range(_MAX_ATTEMPTS):
            yield attempt == _MAX_ATTEMPTS - 1
            self._sleep(random.uniform(0, min(_MAX_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0**attempt)))


# Actions of transactions. In their expressions `:name` is a value, and `#name` is the attribute `name`, which
# may be one of DynamoDB's reserved words.


def key(pk: str, sk: str) -> Item:
    """Return the key of an item."""
    return {"pk": pk, "sk": sk}


def put_action(item: Item, *, condition: str | None = None, **values: object) -> Item:
    """Return the action that writes an item."""
    return {"Put": {"Item": _typed(item)} | _expressions(values, ConditionExpression=condition)}


def update_action(key: Item, change: str, *, condition: str | None = None, **values: object) -> Item:
    """Return the action that changes attributes of an item."""
    expressions = _expressions(values, UpdateExpression=change, ConditionExpression=condition)
    return {"Update": {"Key": _typed(key)} | expressions}


def delete_action(key: Item, *, condition: str | None = None, **values: object) -> Item:
    """Return the action that deletes an item."""
    return {"Delete": {"Key": _typed(key)} | _expressions(values, ConditionExpression=condition)}


def check_action(key: Item, *, condition: str, **values: object) -> Item:
    """Return the action that only checks a condition."""
    return {"ConditionCheck": {"Key": _typed(key)} | _expressions(values, ConditionExpression=condition)}


def in_transactions(actions: Sequence[Item], *, beside: int = 0) -> Iterator[list[Item]]:
    """Yield the actions in as few transactions as DynamoDB's quotas allow.

    beside:
        How many small actions each transaction has in addition.
    """
    batch: list[Item] = []
    bytes_ = 0
    for action in actions:
        bytes_ += _bytes_of(action)
        full = len(batch) + beside == MAX_TRANSACTION_ACTIONS or bytes_ > MAX_TRANSACTION_BYTES
        if batch and full:
            yield batch
            batch, bytes_ = [], _bytes_of(action)
        batch.append(action)
    if batch:
        yield batch


def _bytes_of(action: Item) -> int:
    """Return the bytes of the item that an action writes: its names, and its values in UTF-8."""
    return sum(
        len(name) + len(value if isinstance(value, bytes) else str(value).encode())
        for name, typed in action.get("Put", {}).get("Item", {}).items()
        for value in typed.values()
    )


def _expressions(values: Mapping[str, object], **expressions: str | None) -> Item:
    """Return the parameters for the expressions of an action, with the names and values that they use."""
    names = {f"#{name}": name for text in expressions.values() for name in re.findall(r"#(\w+)", text or "")}
    parameters = {
        **expressions,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": _typed({f":{name}": value for name, value in values.items()}),
    }
    return {name: value for name, value in parameters.items() if value}


def _typed(values: Mapping[str, object]) -> Any:
    """Return plain values as DynamoDB's API takes them."""
    from boto3.dynamodb.types import TypeSerializer

    serialize = TypeSerializer().serialize
    # boto3 takes no float. Its text is exact, and shorter than what Decimal makes of its bits.
    return {
        name: serialize(Decimal(repr(value)) if isinstance(value, float) else value)
        for name, value in values.items()
    }


def _plain(item: Mapping[str, Any]) -> Item:
    """Return an item of DynamoDB's API with plain values. Numbers are decimals."""
    from boto3.dynamodb.types import TypeDeserializer

    deserialize = TypeDeserializer().deserialize
    values = {name: deserialize(value) for name, value in item.items()}
    # boto3 wraps bytes.
    return {name: getattr(value, "value", value) for name, value in values.items()}
