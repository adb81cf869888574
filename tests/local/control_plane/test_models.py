from __future__ import annotations

from tests.local.world import ROLE, World


def test_container_without_an_image_is_refused(world: World) -> None:
    refusal = world.refusal(
        "CreateModel", ModelName="model", ExecutionRoleArn=ROLE, PrimaryContainer={"Environment": {"A": "1"}}
    )
    assert refusal == "A container should have an Image or a ModelPackageName."
    assert world.call("ListModels")["Models"] == []
