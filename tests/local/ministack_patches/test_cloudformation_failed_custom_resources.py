from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.local.stacks import Stack

CUSTOM_RESOURCE = """
import json, os, urllib.request

def handler(event, context):
    with open("{log}", "a") as log:
        print(event["RequestType"], event.get("PhysicalResourceId", ""), file=log)
    failed = event["RequestType"] == "Create"
    if failed and {silent}:
        os._exit(1)
    answer = {{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}}
    answer |= {{"Status": "FAILED" if failed else "SUCCESS", "Reason": "as told"}}
    answer |= {{"PhysicalResourceId": event.get("PhysicalResourceId", "half-made")}}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).read()
"""


def failed_creation(
    stack: Stack, function: Callable[[str], str], log: Path, *, silent: bool, timeout: int
) -> list[str]:
    """Create a custom resource that fails or does not answer; return the requests that it was sent."""
    arn = function(CUSTOM_RESOURCE.format(log=log, silent=silent))
    custom = {"Type": "Custom::Thing", "Properties": {"ServiceToken": arn, "ServiceTimeout": timeout}}
    assert stack.create({"Thing": custom}) == "ROLLBACK_COMPLETE"
    return log.read_text().splitlines()


def test_custom_resource_whose_create_failed_gets_a_delete(
    stack: Stack, function: Callable[[str], str], tmp_path: Path
) -> None:
    requests = failed_creation(stack, function, tmp_path / "requests", silent=False, timeout=20)
    assert requests == ["Create ", "Delete half-made"]
    assert stack.reasons("CREATE_FAILED") == ["as told"]


def test_custom_resource_that_did_not_answer_its_create_gets_a_delete_with_an_id_made_up(
    stack: Stack, function: Callable[[str], str], tmp_path: Path
) -> None:
    create, delete = failed_creation(stack, function, tmp_path / "requests", silent=True, timeout=2)
    assert create == "Create "
    assert delete.startswith(f"Delete {stack.name}-Thing-")
