"""How the guide says that an adapter can be named in the container."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.local.stacks import Bucket, Stack, serving
from tests.local.world import World


@pytest.mark.parametrize(("mode", "name"), [("gapless", "one.2"), ("gap", "one")])
def test_adapter_has_its_components_name_until_it_is_updated_without_a_gap(
    world_with: Callable[..., World], mode: str, name: str
) -> None:
    world = world_with(adapter_update=mode)
    world.serve("one")
    assert list(world.running[0].adapters) == ["one"]
    world.update_adapter("one", "one-v2")
    world.pass_time(10)
    assert list(world.running[0].adapters) == [name]


def test_adapter_in_the_query_or_in_a_header_of_the_caller_does_not_reach_the_container(
    stack: Stack, bucket: Bucket, client: Callable[..., Any]
) -> None:
    resources = serving(stack.name, bucket, {"one": bucket.adapter("1")})
    resources["Endpoint"]["Properties"]["EndpointName"] = stack.name
    assert stack.create(resources) == "CREATE_COMPLETE"
    runtime = client("sagemaker-runtime")

    def name_adapter(request: Any, **_: Any) -> None:
        request.url += f"?adapter={stack.name}-one"
        request.headers["X-Amzn-SageMaker-Adapter-Identifier"] = f"{stack.name}-one"

    runtime.meta.events.register("before-sign.sagemaker-runtime.InvokeEndpoint", name_adapter)
    answer = runtime.invoke_endpoint(
        EndpointName=stack.name, InferenceComponentName=f"{stack.name}-base", Body=b"{}"
    )
    said = json.loads(answer["Body"].read())
    assert (said["adapter"], said["query"]) == (None, "")
