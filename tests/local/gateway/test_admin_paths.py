"""What the admin path refuses, and the swaps of copies that no API shows."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from local_sagemaker.control_plane.faults import Faults
from local_sagemaker.gateway.admin_paths import admin_application, swap
from local_sagemaker.gateway.cloud import Cloud
from local_sagemaker.settings import Settings
from tests.local.world import World

FAULT = {"operation": "InvokeEndpoint", "code": "InternalFailure", "message": "down"}


@pytest.fixture
def faults(cloud: Cloud) -> Faults:
    return cloud.faults


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path, Settings())


@pytest.fixture
def send(cloud: Cloud) -> Callable[..., Any]:
    """Sends a request to the admin path of the cloud."""
    client = TestClient(admin_application(cloud))
    return lambda method, path, **content: client.request(method, f"/_local/{path}", **content)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (FAULT | {"operation": "InvokeEndpont"}, "SageMaker has no operation 'InvokeEndpont'"),
        (FAULT | {"times": "3"}, "'times' should be a whole number of at least 1, got '3'"),
        (FAULT | {"times": 0}, "'times' should be a whole number"),
        (FAULT | {"status": 200}, "'status' should be a number from 400 to 599, got 200"),
        (FAULT | {"message": 5}, "'message' should be a string, got 5"),
        (FAULT | {"colour": "red"}, "unexpected keyword argument 'colour'"),
        (FAULT | {"component": "one"}, "'operation'"),
        (FAULT | {"share": 0}, "'share' should be a number above 0 and at most 1, got 0"),
        (FAULT | {"share": 1.5}, "'share' should be a number above 0"),
        (FAULT | {"code": ""}, "one of 'code', 'lost' and 'seconds' should be given, got code ''"),
        (FAULT | {"seconds": 1}, "one of 'code', 'lost' and 'seconds' should be given"),
        (FAULT | {"seconds": -1}, "'seconds' should be a number from 0 to 3600, got -1"),
        (FAULT | {"table": "one"}, "'table' should be given for DynamoDB alone, got 'one'"),
        (FAULT | {"operation": "dynamodb:PutItems"}, "dynamodb has no operation 'PutItems'"),
        (FAULT | {"operation": "s3:writes"}, "s3 has no operation 'writes'"),
        (FAULT | {"operation": 5}, "SageMaker has no operation '5'"),
        (FAULT | {"lost": "yes"}, "'lost' should be true or false, got 'yes'"),
        (FAULT | {"lost": True, "code": ""}, "answers of invocations cannot be lost"),
        ({"held": 5}, "'held' should be"),
        ({"component": "one", "reason": 5}, "'reason'"),
    ],
)
def test_fault_that_could_not_happen_is_refused(
    faults: Faults, send: Callable[..., Any], fault: dict[str, Any], message: str
) -> None:
    answer = send("POST", "faults", json=fault)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert (faults.calls, faults.loads) == ([], {})


def test_fault_that_fits_is_taken(faults: Faults, send: Callable[..., Any]) -> None:
    assert send("POST", "faults", json=FAULT | {"status": 500, "times": 3}).status_code == 200
    assert send("POST", "faults", json={"component": "one", "reason": "out of memory"}).status_code == 200
    lost = {"operation": "CreateInferenceComponent", "lost": True, "times": None, "share": 0.5}
    assert send("POST", "faults", json=lost).status_code == 200
    assert [fault.times for fault in faults.calls] == [3, None]
    assert faults.loads == {"one": "out of memory"}


def is_held(faults: Faults, component: str) -> bool:
    try:
        asyncio.run(asyncio.wait_for(faults.released(component), 0.01))
    except TimeoutError:
        return True
    return False


def test_one_held_component_is_released_or_all_are(faults: Faults, send: Callable[..., Any]) -> None:
    for component in ("one", "two", "three"):
        assert send("POST", "faults", json={"held": component}).status_code == 200
    send("DELETE", "faults?held=two")
    assert [is_held(faults, component) for component in ("one", "two", "three")] == [True, False, True]
    send("DELETE", "faults")
    assert not any(is_held(faults, component) for component in ("one", "three"))


@pytest.mark.parametrize("content", ["null", "[]", "{"])
def test_body_that_is_no_object_is_refused(send: Callable[..., Any], content: str) -> None:
    for method, path in (("PATCH", "settings"), ("POST", "faults")):
        answer = send(method, path, content=content)
        assert answer.status_code == 400
        assert answer.json()["error"]


@pytest.fixture
def serving(world: World) -> World:
    """Two adapters on three copies."""
    world.serve("one", "two", copies=3, accelerators=1)
    return world


def swapped(world: World, **fault: Any) -> None:
    async def doing() -> None:
        await swap([world.plane], **fault)

    task = world.loop.create_task(doing())
    world.pass_time(5)
    task.result()


def test_some_copies_get_other_files_or_lose_the_adapter_until_an_update(serving: World) -> None:
    before = serving.component("one")
    swapped(serving, swapped="one", directory="/other", copies=2)
    assert serving.loaded() == [["other", "two"], ["other", "two"], ["one", "two"]]
    swapped(serving, swapped="one", copies=1)
    assert serving.loaded() == [["two"], ["other", "two"], ["one", "two"]]
    swapped(serving, swapped="one", directory="/other")
    assert serving.loaded() == [["other", "two"]] * 3
    assert serving.component("one") == before
    serving.update_adapter("one", "one", pass_time=10)
    assert serving.loaded() == [["one", "two"]] * 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"swapped": "base"}, "'swapped' should be the name of an adapter in service, got 'base'"),
        ({"swapped": "one", "copies": 0}, "'copies' should be at least 1, got 0"),
        ({"swapped": "one", "directory": str(Path("/unloadable"))}, "cannot load unloadable"),
    ],
)
def test_swap_that_cannot_be_is_refused(serving: World, fault: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        swapped(serving, **fault)
