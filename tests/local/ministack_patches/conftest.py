"""What tests of several patches share."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.conftest import Client
from tests.local.stacks import MakeFunction, functions

# Notes its requests in the file `log`, and creates a file with the name of each resource. By its properties,
# it waits for the file of another resource, and fails its creation or its deletion, until there is a file
# `let-go`. A silent one does not even answer.
CUSTOM_RESOURCE = """
import json, os, pathlib, time, urllib.request

def handler(event, context):
    properties, folder, me = event["ResourceProperties"], pathlib.Path("{folder}"), event["LogicalResourceId"]
    with (folder / "log").open("a") as log:
        print(event["RequestType"], event.get("PhysicalResourceId", me), file=log)
    (folder / me).touch()
    fails = properties.get("Fails") == event["RequestType"] and not (folder / "let-go").exists()
    if fails and "Silent" in properties:
        os._exit(1)
    other, deadline = folder / properties.get("WaitsFor", me), time.monotonic() + 20
    while not other.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    answer = {{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}}
    answer |= {{"Status": "FAILED" if fails or not other.exists() else "SUCCESS", "Reason": "as told"}}
    answer |= {{"PhysicalResourceId": f"{{me}}-made"}}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).read()
"""


@pytest.fixture
def function(client: Client) -> Iterator[MakeFunction]:
    """Makes Lambda functions of Python source with a `handler`."""
    yield from functions(client("lambda"))


@pytest.fixture
def custom(function: MakeFunction, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Makes custom resources that do what their properties say."""
    arn = function(CUSTOM_RESOURCE.format(folder=tmp_path))

    def make(*, timeout: int = 30, **properties: Any) -> dict[str, Any]:
        common = {"ServiceToken": arn, "ServiceTimeout": timeout}
        return {"Type": "Custom::Thing", "Properties": common | properties}

    return make


@pytest.fixture
def requests(tmp_path: Path) -> Callable[[], list[str]]:
    """Reads the requests that custom resources were sent: the type, and the physical id of each by then."""
    return lambda: (tmp_path / "log").read_text().splitlines()
