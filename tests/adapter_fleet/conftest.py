from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="session")
def dynamodb() -> Iterator[DynamoDBClient]:
    # Most tests need no cloud, and importing it takes a while.
    from local_sagemaker.server import LocalCloud

    with LocalCloud() as cloud:
        yield cloud.client("dynamodb", config=Config(max_pool_connections=64))


@pytest.fixture
def table(dynamodb: DynamoDBClient) -> str:
    name = f"registry-{uuid.uuid4().hex[:8]}"
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return name
