"""Up to when a fleet's use is counted, in the fleet's table."""

from adapter_fleet.aws.dynamodb_table import DynamoDbTable, key

_KEY = key("usage", "counted")


class UsageCursor:
    """`UsageCursor` of `usage.usage_counter` on DynamoDB."""

    def __init__(self, table: DynamoDbTable) -> None:
        self._table = table

    def read(self) -> float | None:
        """Return the time; None before the first run."""
        item = self._table.get(**_KEY)
        return None if item is None else float(item["counted"])

    def advance(self, before: float | None, after: float) -> bool:
        """Set the time; return False if it is not `before`, as another run has set it."""
        if before is None:
            condition, values = "attribute_not_exists(counted)", {}
        else:
            condition, values = "counted = :before", {"before": before}
        done = self._table.update(_KEY, "SET counted = :after", condition=condition, after=after, **values)
        return done is not None
