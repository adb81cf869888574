"""IAM policies can use `dynamodb:LeadingKeys`, the partition keys of a DynamoDB call.

Fault of ministack: it does not know this condition key.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ministack.core import iam_actions
from ministack.services import dynamodb

from local_sagemaker.ministack_patches.internals import expect_names

_KEY = "dynamodb:LeadingKeys"


def install() -> None:
    """Add the condition key to calls for one item and to transactions.

    [V IAM service authorization reference, DynamoDB] Its value is the first key attribute of each item, a
    list even for one item. On AWS, queries and batches have it too.
    """
    expect_names(iam_actions, "dynamodb_service_context")
    expect_names(dynamodb, "_tables")
    known = iam_actions.dynamodb_service_context

    def context(body: bytes) -> dict[str, Any]:
        found: dict[str, Any] = known(body)
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            return found
        keys = list(_leading_keys(request)) if isinstance(request, dict) else []
        return found | {_KEY: keys} if keys else found

    iam_actions.dynamodb_service_context = context


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
