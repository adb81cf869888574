"""What policies allow where IAM is enforced."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from tests.local.conftest import MakeUser, boto_client
from tests.local.credentials import allow
from tests.local.stacks import Bucket


def test_policy_by_leading_keys_allows_the_items_of_its_partitions_alone(
    guarded: LocalCloud, user: MakeUser
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


def test_policy_for_a_log_group_needs_the_end_that_aws_wants(guarded: LocalCloud, user: MakeUser) -> None:
    boto_client(guarded, "logs").create_log_group(logGroupName="/groups/mine")
    group = "arn:aws:logs:us-east-1:000000000000:log-group:/groups/mine"

    def read(resource: str) -> Any:
        return user(allow("logs:FilterLogEvents", resource))("logs").filter_log_events(
            logGroupName="/groups/mine"
        )

    assert read(f"{group}:*")["events"] == []
    with pytest.raises(ClientError, match="AccessDenied"):
        read(group)


def test_missing_object_looks_denied_to_who_may_not_list_the_bucket(
    guarded: LocalCloud, user: MakeUser
) -> None:
    bucket = Bucket(boto_client(guarded, "s3"))
    objects, itself = f"arn:aws:s3:::{bucket.name}/*", f"arn:aws:s3:::{bucket.name}"

    def code(*statements: dict[str, Any]) -> str:
        with pytest.raises(ClientError) as refused:
            user(*statements)("s3").head_object(Bucket=bucket.name, Key="missing")
        return str(refused.value.response["Error"]["Code"])

    reads, lists = allow("s3:GetObject", objects), allow("s3:ListBucket", itself)
    assert (code(reads), code(reads, lists)) == ("403", "404")
