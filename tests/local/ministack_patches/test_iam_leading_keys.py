from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from tests.local.conftest import boto_client
from tests.local.iam_users import allow


def test_policy_by_leading_keys_allows_the_items_of_its_partitions_alone(
    guarded: LocalCloud, user: Callable[..., Callable[[str], Any]]
) -> None:
    name = "partitions"
    boto_client(guarded, "dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    mine = {"dynamodb:LeadingKeys": ["mine"]}
    writer = user(
        allow(
            "dynamodb:PutItem",
            f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}",
            **{"ForAllValues:StringEquals": mine, "Null": {"dynamodb:LeadingKeys": "false"}},
        )
    )("dynamodb")

    def put(*keys: str) -> None:
        puts = [{"Put": {"TableName": name, "Item": {"pk": {"S": key}}}} for key in keys]
        writer.transact_write_items(TransactItems=puts)

    writer.put_item(TableName=name, Item={"pk": {"S": "mine"}})
    put("mine")
    with pytest.raises(ClientError, match="AccessDenied"):
        writer.put_item(TableName=name, Item={"pk": {"S": "theirs"}})
    with pytest.raises(ClientError, match="AccessDenied"):
        put("mine", "theirs")
