"""Checks of IAM policies."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ministack.core import iam_actions
from ministack.services import dynamodb, s3

from local_sagemaker.ministack_patches.internals import expect_names, replaces


def install_missing_objects() -> None:
    """S3 answers 403 for a missing object if the caller may not list the bucket.

    Fault of ministack: it answers 404 to every caller. [V GetObject, HeadObject] Reading a missing object
    requires `s3:ListBucket` too: 404 with that permission, 403 without it.
    """
    expect_names(s3, "_buckets", "_bucket_owner_account")

    @replaces(iam_actions, "s3_additional_checks")
    def checks(known: Any, method: str, path: str, *call: Any) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = known(method, path, *call)
        bucket, _, key = path.strip("/").partition("/")
        if method in ("GET", "HEAD") and key and _is_missing(bucket, key):
            found.append(("s3:ListBucket", f"arn:aws:s3:::{bucket}"))
        return found


def _is_missing(name: str, key: str) -> bool:
    owner = s3._bucket_owner_account(name)
    bucket = None if owner is None else s3._buckets.get_scoped(owner, None, name)
    return bucket is not None and key not in bucket["objects"]


_KEY = "dynamodb:LeadingKeys"


def install_leading_keys() -> None:
    """IAM policies can use `dynamodb:LeadingKeys`, the partition keys of a DynamoDB call.

    Fault of ministack: it does not know this condition key. Here, calls for one item and transactions have
    it. [V IAM service authorization reference, DynamoDB] Its value is the first key attribute of each item, a
    list even for one item. On AWS, queries and batches have it too.
    """
    expect_names(dynamodb, "_tables")

    @replaces(iam_actions, "dynamodb_service_context")
    def context(known: Any, body: bytes) -> dict[str, Any]:
        found: dict[str, Any] = known(body)
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            return found
        keys = list(_leading_keys(request)) if isinstance(request, dict) else []
        return found | {_KEY: keys} if keys else found


def _leading_keys(request: Mapping[str, Any]) -> Iterator[str]:
    for table, item in _items(request):
        name = (dynamodb._tables.get(table) or {}).get("pk_name")
        value = item.get(str(name))
        if isinstance(value, dict):
            yield from map(str, value.values())


def _items(request: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the items of a call or their keys, each with its table."""
    single = [request] if "TableName" in request else []
    of_transaction = [action for item in request.get("TransactItems", []) for action in item.values()]
    for one in (*single, *of_transaction):
        item = one.get("Key") or one.get("Item")
        if isinstance(item, dict):
            yield str(one["TableName"]), item


def install_log_groups() -> None:
    """A permission on a log group is asked for with an ARN that `log-group:NAME:*` matches.

    Fault of ministack: it asks for `log-group:NAME`. [V CloudWatch Logs guide, "Overview of managing access
    permissions"] Policies name a group with `:*` at the end, but for tags. [T] In AWS's refusals the resource
    is `log-group:NAME:log-stream:`.
    """

    @replaces(iam_actions, "extract_resource_arn")
    def extract(known: Any, service: str, *call: Any) -> Any:
        arn = known(service, *call)
        return f"{arn}:log-stream:" if service == "logs" and _is_group(arn) else arn


def _is_group(arn: str) -> bool:
    return ":log-group:" in arn and ":" not in arn.partition(":log-group:")[2]
