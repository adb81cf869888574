from __future__ import annotations

import time
from typing import Any, cast

from adapter_fleet.aws.usage_counter import UsageCursor
from adapter_fleet.fleet.state.dynamodb_table import DynamoDbTable
from tests.adapter_fleet.memory_dynamodb import MemoryDynamoDb


def cursor_of(client: MemoryDynamoDb) -> UsageCursor:
    return UsageCursor(DynamoDbTable("fleet", cast(Any, client), sleep=time.sleep))


def test_one_of_two_runs_counts_a_time() -> None:
    cursor = cursor_of(MemoryDynamoDb())
    assert cursor.read() is None
    assert cursor.advance(None, 60.0)
    assert not cursor.advance(None, 60.0)
    assert cursor.read() == 60.0
    assert cursor.advance(60.0, 120.0)
    assert not cursor.advance(60.0, 180.0)
    assert cursor.read() == 120.0


def test_write_that_is_sent_again_as_its_answer_was_lost_counts() -> None:
    class Repeating(MemoryDynamoDb):
        def update_item(self, **request: Any) -> Any:
            super().update_item(**request)
            return super().update_item(**request)

    cursor = cursor_of(Repeating())
    assert cursor.advance(None, 60.0)
    assert cursor.advance(60.0, 120.0)
    assert not cursor.advance(60.0, 180.0)
