"""The rows of orders."""

from collections.abc import Iterable
from decimal import Decimal

from adapter_fleet.common.naming import ORDERS_PARTITION
from adapter_fleet.common.serialization import unstructured
from adapter_fleet.fleet.state.dynamodb_table import Item, delete_action, in_transactions, key, put_action
from adapter_fleet.fleet.state.records import Order
from adapter_fleet.fleet.state.rows.leased_table import Lease, Rows
from adapter_fleet.fleet.state.rows.row import UnreadableError, from_json, reading, to_json


class OrderRows(Rows):
    """Reads and writes orders.

    `add` is atomic for up to 100 orders, `take` for up to 99.
    """

    def add(self, orders: Iterable[Order]) -> None:
        """Leave orders for the next pass. The last order of a kind for a component counts.

        The last one is the last that the table received: people's clocks may be wrong.
        """
        puts = {_order_key(order)["sk"]: put_order(order) for order in orders}
        for batch in in_transactions([*puts.values()]):
            self._table.transact(batch)

    def all(self) -> list[Order]:
        """Return all orders that can be read, oldest first."""
        return self.read()[0]

    def read(self) -> tuple[list[Order], dict[str, str]]:
        """Return the same orders, and the keys of all others with the reason why they cannot be read."""
        orders: list[Order] = []
        unreadable = {}
        for item in self._table.query(ORDERS_PARTITION):
            try:
                orders.append(_order_of(item))
            except UnreadableError as error:
                unreadable[item["sk"]] = str(error)
        return sorted(orders, key=lambda order: (order.at, order.component, order.kind)), unreadable

    def withdraw(self, keys: Iterable[str]) -> None:
        """Remove orders by their keys, whatever they say."""
        for batch in in_transactions([delete_action(key(ORDERS_PARTITION, sk)) for sk in keys]):
            self._table.transact(batch)

    def take(self, orders: Iterable[Order], lease: Lease) -> None:
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
            while left and (replaced := self._table.transact_under(lease, left)):
                left = [action for index, action in enumerate(left) if index not in replaced]

    def replace(self, order: Order, by: Order, lease: Lease) -> None:
        """Replace an order by one of the same key and time, unless a person has replaced it."""
        self._table.transact_under(lease, [put_order(by, condition="#at = :at", at=float(order.at))])


def _order_of(item: Item) -> Order:
    """Return the order of an item. Raises UnreadableError, also if a pass could not remove the item."""
    with reading(item):
        order = from_json(item["doc"], Order)
        stored = key(item["pk"], item["sk"]) | {"at": item["at"]}
        if stored != _order_key(order) | {"at": Decimal(repr(order.at))}:
            raise ValueError("its document has another key or time")
        return order


def _order_key(order: Order) -> Item:
    return key(ORDERS_PARTITION, f"{order.component}#{order.kind}")


def put_order(order: Order, *, condition: str | None = None, **values: object) -> Item:
    """Return the action that writes an order."""
    item = _order_key(order) | {"at": float(order.at), "doc": to_json(unstructured(order))}
    return put_action(item, condition=condition, **values)
