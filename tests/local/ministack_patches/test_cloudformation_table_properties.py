from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.local.stacks import Stack

TABLE: dict[str, Any] = {
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
    "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
    "SSESpecification": {"SSEEnabled": True},
}


def table_settings(dynamodb: Any, table: str) -> list[str]:
    backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    return [
        backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
        dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"],
        dynamodb.describe_table(TableName=table)["Table"].get("SSEDescription", {}).get("Status"),
    ]


def test_table_has_the_settings_of_its_template(stack: Stack, client: Callable[..., Any]) -> None:
    dynamodb = client("dynamodb")
    stack.create({"Table": {"Type": "AWS::DynamoDB::Table", "Properties": TABLE}})
    table = stack.physical_id("Table")
    assert table_settings(dynamodb, table) == ["ENABLED"] * 3
    bare = {name: value for name, value in TABLE.items() if not name.endswith("Specification")}
    assert stack.update({"Table": {"Type": "AWS::DynamoDB::Table", "Properties": bare}}) == "UPDATE_COMPLETE"
    assert table_settings(dynamodb, table) == ["DISABLED"] * 3
