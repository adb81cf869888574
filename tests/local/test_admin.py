"""What the admin path refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from local_sagemaker.admin import admin_application
from tests.local.world import World

FAULT = {"operation": "InvokeEndpoint", "code": "InternalFailure", "message": "down"}


@pytest.fixture
def send(world: World) -> Callable[..., Any]:
    """Sends a request to the admin path of the world."""
    client = TestClient(admin_application(world.settings, world.traffic))
    return lambda method, path, **content: client.request(method, f"/_local/{path}", **content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operation": "InvokeEndpont"}, "SageMaker has no operation 'InvokeEndpont'"),
        ({"operation": None}, "SageMaker has no operation None"),
        ({"times": "3"}, "'times' should be a whole number of at least 1, got '3'"),
        ({"times": True}, "'times' should be a whole number"),
        ({"times": 0}, "'times' should be a whole number"),
        ({"status": "500"}, "'status' should be a number from 400 to 599, got '500'"),
        ({"status": 200}, "'status' should be a number from 400 to 599, got 200"),
        ({"message": 5}, "'message' should be a text, got 5"),
        ({"code": None}, "'code' should be a text, got None"),
        ({"colour": "red"}, "unexpected keyword argument 'colour'"),
        ({"component": "one"}, "'operation'"),
    ],
)
def test_fault_that_could_not_happen_is_refused(
    world: World, send: Callable[..., Any], changes: dict[str, Any], message: str
) -> None:
    answer = send("POST", "faults", json=FAULT | changes)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert (world.traffic.call_faults, world.traffic.load_faults) == ([], {})


@pytest.mark.parametrize("fault", [{"component": "one"}, {"component": "one", "reason": 5}])
def test_failing_load_needs_a_reason(world: World, send: Callable[..., Any], fault: dict[str, Any]) -> None:
    answer = send("POST", "faults", json=fault)
    assert answer.status_code == 400
    assert "'reason'" in answer.json()["error"]
    assert world.traffic.load_faults == {}


def test_fault_that_fits_is_taken(world: World, send: Callable[..., Any]) -> None:
    assert send("POST", "faults", json=FAULT | {"status": 500, "times": 3}).status_code == 200
    assert send("POST", "faults", json={"component": "one", "reason": "out of memory"}).status_code == 200
    assert [fault.times for fault in world.traffic.call_faults] == [3]
    assert world.traffic.load_fault("one") == "out of memory"


@pytest.mark.parametrize("path", ["settings", "faults"])
@pytest.mark.parametrize("content", ["null", "[]", '"hostile"', "5", "", "{"])
def test_body_that_is_no_object_is_refused(send: Callable[..., Any], path: str, content: str) -> None:
    answer = send("PATCH" if path == "settings" else "POST", path, content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]
