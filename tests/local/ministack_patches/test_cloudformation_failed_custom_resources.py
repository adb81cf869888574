from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.local.stacks import Stack

CUSTOM_RESOURCE = """
import json, urllib.request

def handler(event, context):
    with open("{log}", "a") as log:
        print(event["RequestType"], event.get("PhysicalResourceId", ""), file=log)
    answer = {{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}}
    failed = event["RequestType"] == "Create"
    answer |= {{"Status": "FAILED" if failed else "SUCCESS", "Reason": "as told"}}
    answer |= {{"PhysicalResourceId": "half-made"}}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).read()
"""


def test_custom_resource_whose_create_failed_gets_a_delete(
    stack: Stack, function: Callable[[str], str], tmp_path: Any
) -> None:
    log = tmp_path / "requests"
    arn = function(CUSTOM_RESOURCE.format(log=log))
    custom = {"Type": "Custom::Thing", "Properties": {"ServiceToken": arn, "ServiceTimeout": 20}}
    assert stack.create({"Thing": custom}) == "ROLLBACK_COMPLETE"
    assert stack.reasons("CREATE_FAILED") == ["as told"]
    assert log.read_text().splitlines() == ["Create ", "Delete half-made"]


SILENT = """
import json, os, urllib.request

def handler(event, context):
    with open("{log}", "a") as log:
        print(event["RequestType"], event.get("PhysicalResourceId", ""), file=log)
    if event["RequestType"] == "Create":
        os._exit(1)
    answer = {{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}}
    answer |= {{"Status": "SUCCESS", "PhysicalResourceId": event["PhysicalResourceId"]}}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).read()
"""


def test_custom_resource_that_did_not_answer_its_create_gets_a_delete_with_an_id_made_up(
    stack: Stack, function: Callable[[str], str], tmp_path: Any
) -> None:
    log = tmp_path / "requests"
    arn = function(SILENT.format(log=log))
    custom = {"Type": "Custom::Thing", "Properties": {"ServiceToken": arn, "ServiceTimeout": 2}}
    assert stack.create({"Thing": custom}) == "ROLLBACK_COMPLETE"
    create, delete = log.read_text().splitlines()
    assert create == "Create "
    assert delete.startswith(f"Delete {stack.name}-Thing-")
