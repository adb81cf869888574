from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from tests.local.conftest import QUICK, boto_client
from tests.local.functions import functions
from tests.local.stacks import Stack

pytestmark = pytest.mark.integration


@pytest.fixture
def parallel() -> Iterator[tuple[Stack, Callable[[str], str]]]:
    """A stack of a cloud that provisions in parallel, and what makes functions there."""
    with LocalCloud(parallel_provisioning=True, settings=QUICK) as running:
        for function in functions(boto_client(running, "lambda")):
            yield Stack(boto_client(running, "cloudformation"), "parallel"), function


TOGETHER = """
import json, pathlib, time, urllib.request

def handler(event, context):
    properties, folder = event["ResourceProperties"], pathlib.Path("{folder}")
    me = event["LogicalResourceId"]
    with (folder / "log").open("a") as log:
        print(event["RequestType"], me, properties["Value"], file=log)
    (folder / f"{{me}} {{properties['Value']}}").touch()
    other = folder / f"{{properties.get('WaitsFor')}} {{properties['Value']}}"
    deadline = time.monotonic() + 20
    while "WaitsFor" in properties and not other.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    fails = properties["Value"] == "bad" or ("WaitsFor" in properties and not other.exists())
    answer = {{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}}
    answer |= {{"Status": "FAILED" if fails else "SUCCESS", "Reason": "alone", "PhysicalResourceId": me}}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).read()
"""


def together(arn: str, value: str) -> dict[str, Any]:
    """Two resources that each wait for the other to begin, and one that depends on both."""
    common = {"ServiceToken": arn, "ServiceTimeout": 30, "Value": value}
    return {
        "One": {"Type": "Custom::Thing", "Properties": common | {"WaitsFor": "Two"}},
        "Two": {"Type": "Custom::Thing", "Properties": common | {"WaitsFor": "One"}},
        "After": {"Type": "Custom::Thing", "Properties": common, "DependsOn": ["One", "Two"]},
    }


def test_resources_that_do_not_depend_on_each_other_are_provisioned_together(
    parallel: tuple[Stack, Callable[[str], str]], tmp_path: Any
) -> None:
    stack, function = parallel
    arn = function(TOGETHER.format(folder=tmp_path))
    assert stack.create(together(arn, "good")) == "CREATE_COMPLETE"
    requests = (tmp_path / "log").read_text().splitlines()
    assert sorted(requests[:2]) == ["Create One good", "Create Two good"]
    assert requests[2:] == ["Create After good"]


def test_creation_that_ends_after_another_failed_is_rolled_back(
    parallel: tuple[Stack, Callable[[str], str]], tmp_path: Any
) -> None:
    stack, function = parallel
    common = {"ServiceToken": function(TOGETHER.format(folder=tmp_path)), "ServiceTimeout": 30}
    failing = {"Type": "Custom::Thing", "Properties": common | {"Value": "bad"}}
    good = {"Type": "Custom::Thing", "Properties": common | {"Value": "good"}}
    assert stack.create({"A": failing, "B": good}) == "ROLLBACK_COMPLETE"
    requests = (tmp_path / "log").read_text().splitlines()
    # A's own deletion comes as soon as it has failed, whether or not B's function has begun.
    assert "Create A bad" in requests
    assert requests.index("Create B good") < requests.index("Delete B good")
    assert stack.events("B")[:2] == ["DELETE_COMPLETE", "DELETE_IN_PROGRESS"]
