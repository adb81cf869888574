"""Up to when a fleet's use is counted, in the fleet's table."""

import uuid

from adapter_fleet.aws.dynamodb_table import DynamoDbTable, key
from adapter_fleet.common.naming import USAGE_PARTITION


class UsageCursor:
    """`UsageCursor` of `usage.usage_counter` on DynamoDB."""

    def __init__(self, table: DynamoDbTable) -> None:
        self._table, self._key = table, key(USAGE_PARTITION, "counted")

    def read(self) -> float | None:
        """Return the time; None before the first run."""
        item = self._table.get(**self._key)
        return None if item is None else float(item["counted"])

    def advance(self, before: float | None, after: float) -> bool:
        """Set the time; return False if it is not `before`, as another run has set it."""
        values: dict[str, object] = {"after": after, "writer": uuid.uuid4().hex}
        if before is None:
            condition = "attribute_not_exists(counted)"
        else:
            condition = "counted = :before"
            values["before"] = before
        # A write whose answer was lost is sent again, and finds its own time.
        condition += " OR writer = :writer"
        change = "SET counted = :after, writer = :writer"
        return self._table.update(self._key, change, condition=condition, **values) is not None
