"""The CloudFormation handlers on a control plane with a clock of its own."""

import asyncio
from collections.abc import Callable

import pytest

from local_sagemaker.cloudformation.handlers import HandlerError, Handlers
from local_sagemaker.cloudformation.resource_types import ENDPOINT, INFERENCE_COMPONENT
from local_sagemaker.control_plane.faults import CallFault
from tests.local.world import World, adapter_specification


def failed_creation(world: World, meanwhile: Callable[[], None]) -> str:
    """Why the handler cannot create the adapter "bad"; `meanwhile` runs once the component has failed."""
    world.faults.loads["bad"] = "out of memory"
    handlers = Handlers(INFERENCE_COMPONENT, lambda: world.plane, lambda: world.loop)
    properties = {
        "InferenceComponentName": "bad",
        "EndpointName": "endpoint",
        "Specification": adapter_specification("bad"),
    }

    async def create() -> None:
        creating = asyncio.ensure_future(asyncio.to_thread(handlers.create, "Bad", properties, "stack"))
        while world.plane.components.find("bad") is None:
            await asyncio.sleep(0.001)
        await world.clock.advance(world.settings.value.component_create_seconds)
        meanwhile()
        for _ in range(20):
            await world.clock.advance(1)
        await asyncio.wait_for(creating, timeout=10)

    with pytest.raises(HandlerError) as failed:
        world.loop.run_until_complete(create())
    return str(failed.value)


def test_failed_create_is_cleaned_up_once_its_sibling_lets_it(world: World) -> None:
    world.serve("one", one_write_per_base=True)

    def update_sibling() -> None:
        specification = {"Container": {"ArtifactUrl": "s3://bucket/one-v2"}}
        request = {"InferenceComponentName": "one", "Specification": specification}
        world.plane.call("UpdateInferenceComponent", request)

    assert "out of memory" in failed_creation(world, update_sibling)
    assert world.artifact("one") == "one-v2"
    assert "Could not find" in world.refusal("DescribeInferenceComponent", InferenceComponentName="bad")


def denial(operation: str, message: str) -> CallFault:
    return CallFault(operation=operation, code="AccessDeniedException", message=message, times=None)


def test_clean_up_that_is_refused_does_not_hide_why_the_create_failed(world: World) -> None:
    world.serve()

    def refuse() -> None:
        words = "denied while the policy is in state ACTIVE "
        world.faults.calls.append(denial("DeleteInferenceComponent", words))

    assert "out of memory" in failed_creation(world, refuse)
    assert world.status("bad") == "Failed"


def test_deletion_of_what_cannot_be_described_fails(world: World) -> None:
    world.serve("one")
    world.faults.calls.append(denial("DescribeInferenceComponent", "could not find a policy that allows it"))
    handlers = Handlers(INFERENCE_COMPONENT, lambda: world.plane, lambda: world.loop)
    arn = world.plane.context.arn("inference-component", "one")

    async def delete() -> None:
        await asyncio.wait_for(asyncio.to_thread(handlers.delete, arn, {}), timeout=10)

    with pytest.raises(HandlerError, match="could not find a policy"):
        world.loop.run_until_complete(delete())


def test_update_of_an_endpoint_that_keeps_its_configuration_fails(world: World) -> None:
    world.serve("one", instances=2)
    arn = world.endpoint()["EndpointArn"]
    world.create_config("smaller")
    world.scale(2, pass_time=0.1)
    handlers = Handlers(ENDPOINT, lambda: world.plane, lambda: world.loop)
    old, new = ({"EndpointConfigName": name} for name in ("endpoint-config", "smaller"))

    async def update() -> None:
        updating = asyncio.ensure_future(asyncio.to_thread(handlers.update, arn, old, new, "stack"))
        while not updating.done():
            await asyncio.sleep(0.001)
            await world.clock.advance(1)
        await updating

    with pytest.raises(HandlerError, match=r"CapacityError.*NotStabilized"):
        world.loop.run_until_complete(update())
