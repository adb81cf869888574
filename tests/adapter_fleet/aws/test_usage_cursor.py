from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from adapter_fleet.aws.usage_counter import UsageCursor
from adapter_fleet.fleet.state.dynamodb_table import DynamoDbTable

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


def test_one_of_two_runs_counts_a_time(dynamodb: DynamoDBClient, table: str) -> None:
    cursor = UsageCursor(DynamoDbTable(table, dynamodb, sleep=time.sleep))
    assert cursor.read() is None
    assert cursor.advance(None, 60.0)
    assert not cursor.advance(None, 60.0)
    assert cursor.read() == 60.0
    assert cursor.advance(60.0, 120.0)
    assert not cursor.advance(60.0, 180.0)
    assert cursor.read() == 120.0


def test_write_that_is_sent_again_as_its_answer_was_lost_counts(
    dynamodb: DynamoDBClient, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = dynamodb.update_item

    def twice(**request: Any) -> Any:
        send(**request)
        return send(**request)

    monkeypatch.setattr(dynamodb, "update_item", twice)
    cursor = UsageCursor(DynamoDbTable(table, dynamodb, sleep=time.sleep))
    assert cursor.advance(None, 60.0)
    assert cursor.advance(60.0, 120.0)
    assert not cursor.advance(60.0, 180.0)
