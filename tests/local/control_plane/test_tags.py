"""Tags of resources: how long they live, how many there can be, and which keys."""

from __future__ import annotations

from typing import Any

import pytest

from local_sagemaker.control_plane.tags import check_keys
from local_sagemaker.errors import ApiError
from tests.local.world import ROLE, World


def test_tags_live_and_die_with_their_resource(world: World) -> None:
    arn = create_model(world, Tags=[{"Key": "team", "Value": "a"}, {"Key": "stage", "Value": "test"}])
    assert "Tags" not in world.call("DescribeModel", ModelName="model")
    world.call("AddTags", ResourceArn=arn, Tags=[{"Key": "team", "Value": "b"}])
    world.call("DeleteTags", ResourceArn=arn, TagKeys=["stage"])
    assert world.call("ListTags", ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "b"}]
    world.call("DeleteModel", ModelName="model")
    assert "Could not find resource" in world.refusal("ListTags", ResourceArn=arn)


def create_model(world: World, **more: Any) -> str:
    """Create a model; return its ARN."""
    answer = world.call(
        "CreateModel",
        ModelName="model",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": "image"},
        **more,
    )
    return str(answer["ModelArn"])


def tags(*numbers: int, value: str = "v") -> list[dict[str, str]]:
    return [{"Key": f"key-{number}", "Value": value} for number in numbers]


def test_tags_above_fifty_are_refused_and_change_nothing(world: World) -> None:
    arn = create_model(world, Tags=tags(*range(48)))
    refusal = world.refusal("AddTags", ResourceArn=arn, Tags=tags(47, 48, 49, 50))
    assert f'"{arn}" can have at most 50 tags, got 51.' in refusal
    assert world.call("ListTags", ResourceArn=arn)["Tags"] == tags(*range(48))
    world.call("AddTags", ResourceArn=arn, Tags=tags(48, 49))
    world.call("AddTags", ResourceArn=arn, Tags=tags(*range(50), value="new"))
    assert world.call("ListTags", ResourceArn=arn)["Tags"] == tags(*range(50), value="new")


def test_listing_has_one_page_and_takes_no_token(world: World) -> None:
    arn = create_model(world)
    assert world.refusal("ListTags", ResourceArn=arn, NextToken="more") == "The pagination token is invalid."


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"Tags": tags(1, 2, 1)}, "Tag keys should be different, got 'key-1' twice"),
        ({"Tags": [{"Key": "AWS:x", "Value": "v"}]}, "The tag key 'AWS:x' is not allowed"),
        ({"TagKeys": ["aws:cloudformation:stack-name"]}, "is not allowed: 'aws:' is reserved"),
    ],
)
def test_keys_twice_and_keys_of_aws_are_refused(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        check_keys(request_)
