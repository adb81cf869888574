from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.local.stacks import Stack

STAYS_AT_FIRST = """
import json, os, urllib.request

def handler(event, context):
    answer = {{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}}
    failed = event["RequestType"] == "Delete" and not os.path.exists("{let_go}")
    answer |= {{"Status": "FAILED" if failed else "SUCCESS", "Reason": "not yet"}}
    answer |= {{"PhysicalResourceId": "thing"}}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).read()
"""


def test_what_a_resource_needs_that_could_not_be_deleted_stays_until_it_is(
    stack: Stack, function: Callable[[str], str], tmp_path: Any
) -> None:
    let_go = tmp_path / "let-go"
    arn = function(STAYS_AT_FIRST.format(let_go=let_go))
    properties = {"ServiceToken": arn, "ServiceTimeout": 20, "Bucket": {"Ref": "Needed"}}
    resources = {
        "Needed": {"Type": "AWS::S3::Bucket"},
        "Other": {"Type": "AWS::S3::Bucket"},
        "Thing": {"Type": "Custom::Thing", "Properties": properties},
    }
    assert stack.create(resources) == "CREATE_COMPLETE"
    assert stack.delete() == "DELETE_FAILED"
    assert stack.reasons("DELETE_FAILED") == ["not yet"]
    assert (stack.events("Needed")[0], stack.events("Other")[0]) == ("CREATE_COMPLETE", "DELETE_COMPLETE")
    let_go.touch()
    assert stack.delete() == "DELETE_COMPLETE"
