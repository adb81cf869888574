"""Faults of DynamoDB as a client meets them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from local_sagemaker.server import LocalCloud
from tests.local.conftest import Client

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# The fixture clears the faults after each test.
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("settings")]

ITEM: Any = {"pk": {"S": "a"}}
OTHER: Any = {"pk": {"S": "other"}}


@pytest.fixture(scope="module")
def tables(client: Client) -> DynamoDBClient:
    """A client that sends each request once. There are the tables `one` and `two`."""
    dynamodb: DynamoDBClient = client("dynamodb")
    for name in ("one", "two"):
        dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    return dynamodb


CODES = (
    "ThrottlingException ProvisionedThroughputExceededException RequestLimitExceeded AccessDeniedException"
)


@pytest.mark.parametrize("code", CODES.split())
def test_client_gets_dynamodbs_own_error(cloud: LocalCloud, tables: DynamoDBClient, code: str) -> None:
    cloud.admin.fail_calls("dynamodb:PutItem", code=code, message="slowly")
    with pytest.raises(ClientError, match="slowly") as refused:
        tables.put_item(TableName="one", Item=ITEM)
    response = refused.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, 400)
    modeled = getattr(tables.exceptions, code, ClientError)
    assert isinstance(refused.value, modeled)
    tables.put_item(TableName="one", Item=ITEM)


def test_fault_of_a_table_leaves_reads_and_the_other_table_alone(
    cloud: LocalCloud, tables: DynamoDBClient
) -> None:
    cloud.admin.fail_calls("dynamodb:writes", code="ThrottlingException", times=None, table="one")
    put: Any = {"Put": {"TableName": "one", "Item": ITEM}}
    batch: Any = {"one": [{"PutRequest": {"Item": ITEM}}]}
    arn = tables.describe_table(TableName="one")["Table"]["TableArn"]
    for write in (
        lambda: tables.delete_item(TableName="one", Key=ITEM),
        lambda: tables.delete_item(TableName=arn, Key=ITEM),
        lambda: tables.batch_write_item(RequestItems=batch),
        lambda: tables.transact_write_items(TransactItems=[put]),
    ):
        with pytest.raises(ClientError, match="ThrottlingException"):
            write()
    tables.query(
        TableName="one", KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": "a"}}
    )
    tables.put_item(TableName="two", Item=ITEM)


def test_faults_of_sagemaker_and_of_dynamodb_are_apart(cloud: LocalCloud, tables: DynamoDBClient) -> None:
    cloud.admin.fail_calls("writes", code="ThrottlingException", times=None)
    tables.put_item(TableName="one", Item=ITEM)
    cloud.admin.clear_faults()
    cloud.admin.fail_calls("dynamodb:reads", code="ThrottlingException", times=None)
    cloud.client("sagemaker").list_endpoints()
    with pytest.raises(ClientError, match="ThrottlingException"):
        tables.get_item(TableName="one", Key=ITEM)


def test_slow_call_is_answered_late(cloud: LocalCloud, tables: DynamoDBClient) -> None:
    for operation, call in (
        ("dynamodb:GetItem", lambda: tables.get_item(TableName="one", Key=ITEM)),
        ("ListEndpoints", lambda: cloud.client("sagemaker").list_endpoints()),
    ):
        cloud.admin.slow_calls(operation, seconds=0.4, times=1)
        times = []
        for _ in range(2):
            began = time.monotonic()
            call()
            times.append(time.monotonic() - began)
        assert times[0] >= 0.4 > times[1]


def test_write_whose_answer_is_lost_is_done(cloud: LocalCloud, tables: DynamoDBClient) -> None:
    cloud.admin.lose_answers("dynamodb:PutItem")
    with pytest.raises(ConnectionClosedError):
        tables.put_item(TableName="one", Item=OTHER)
    assert tables.get_item(TableName="one", Key=OTHER)["Item"] == OTHER
