"""The registry over a DynamoDB in memory."""

from __future__ import annotations

from adapter_fleet.fleet.state.dynamodb_table import key, put_action
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.registry import Lease, Registry
from tests.adapter_fleet.memory_dynamodb import Item, MemoryDynamoDb


class MemoryRegistry(Registry):
    """`Registry` for one process, with what backups and people do to its table."""

    def __init__(self) -> None:
        self._client = MemoryDynamoDb()
        super().__init__("registry", self._client)  # type: ignore[arg-type]

    @property
    def items(self) -> dict[str, dict[str, Item]]:
        """The items as they are stored, by `pk` and `sk`."""
        return self._client.items

    def clone(self) -> MemoryRegistry:
        """Return a copy."""
        copy = MemoryRegistry()
        copy.items.update(self._client.copy_items())
        return copy

    def restore(self, backup: MemoryRegistry) -> None:
        """Restore a backup. The holder of the lease loses it."""
        token = self.lease_token + 1
        self._client.items = backup._client.copy_items()
        self.write("fleet", "lease", owner="", token=token, until=0)

    def write(self, pk: str, sk: str, **attributes: object) -> None:
        """Write any item, as a person or another release may."""
        self._client.put_item(**put_action(key(pk, sk) | attributes)["Put"])

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
        self.put([record], Lease(owner="", token=self.lease_token, expires=0.0))

    @property
    def lease_token(self) -> int:
        """The token of the newest lease; 0 before the first."""
        lease = self.items.get("fleet", {}).get("lease")
        return 0 if lease is None else int(lease["token"]["N"])

    def generations(self) -> list[int]:
        """Return the numbers of all generations."""
        return [int(number) for number in self.items.get("generations", {})]
