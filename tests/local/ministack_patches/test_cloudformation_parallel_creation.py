from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from tests.local.stacks import Stack


@pytest.fixture(autouse=True)
def together(cloud: LocalCloud) -> Iterator[None]:
    cloud.admin.change_settings(parallel_creation=True)
    yield
    cloud.admin.change_settings(parallel_creation=False)


TOGETHER = """
import json, pathlib, time, urllib.request

def handler(event, context):
    properties, folder = event["ResourceProperties"], pathlib.Path("{folder}")
    me = event["LogicalResourceId"]
    with (folder / "log").open("a") as log:
        print(event["RequestType"], me, file=log)
    (folder / me).touch()
    other = folder / properties.get("WaitsFor", me)
    deadline = time.monotonic() + 20
    while not other.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    fails = "Fails" in properties or not other.exists()
    answer = {{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}}
    answer |= {{"Status": "FAILED" if fails else "SUCCESS", "Reason": "alone", "PhysicalResourceId": me}}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).read()
"""


def thing(arn: str, **properties: str) -> dict[str, Any]:
    common = {"ServiceToken": arn, "ServiceTimeout": 30}
    return {"Type": "Custom::Thing", "Properties": common | properties}


def test_resources_that_do_not_depend_on_each_other_are_created_together(
    stack: Stack, function: Callable[[str], str], tmp_path: Path
) -> None:
    arn = function(TOGETHER.format(folder=tmp_path))
    after = thing(arn) | {"DependsOn": ["One", "Two"]}
    resources = {"One": thing(arn, WaitsFor="Two"), "Two": thing(arn, WaitsFor="One"), "After": after}
    assert stack.create(resources) == "CREATE_COMPLETE"
    requests = (tmp_path / "log").read_text().splitlines()
    assert sorted(requests[:2]) == ["Create One", "Create Two"]
    assert requests[2:] == ["Create After"]


def test_creation_that_ends_after_another_failed_is_rolled_back(
    stack: Stack, function: Callable[[str], str], tmp_path: Path
) -> None:
    arn = function(TOGETHER.format(folder=tmp_path))
    assert stack.create({"A": thing(arn, Fails="yes"), "B": thing(arn)}) == "ROLLBACK_COMPLETE"
    requests = (tmp_path / "log").read_text().splitlines()
    assert requests.index("Create B") < requests.index("Delete B")
    assert stack.events("B")[:2] == ["DELETE_COMPLETE", "DELETE_IN_PROGRESS"]
