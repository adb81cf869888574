"""How many tags a resource can have."""

from __future__ import annotations

import pytest

from local_sagemaker.control_plane.tags import check_keys
from local_sagemaker.errors import ApiError
from tests.local.world import ROLE, World


def tags(*numbers: int, value: str = "v") -> list[dict[str, str]]:
    return [{"Key": f"key-{number}", "Value": value} for number in numbers]


def test_tags_above_fifty_are_refused_and_change_nothing(world: World) -> None:
    arn = world.call(
        "CreateModel",
        ModelName="model",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": "image"},
        Tags=tags(*range(48)),
    )["ModelArn"]
    refusal = world.refusal("AddTags", ResourceArn=arn, Tags=tags(47, 48, 49, 50))
    assert f'"{arn}" can have at most 50 tags, got 51.' in refusal
    assert world.call("ListTags", ResourceArn=arn)["Tags"] == tags(*range(48))
    world.call("AddTags", ResourceArn=arn, Tags=tags(48, 49))
    world.call("AddTags", ResourceArn=arn, Tags=tags(*range(50), value="new"))
    assert world.call("ListTags", ResourceArn=arn)["Tags"] == tags(*range(50), value="new")


def test_listing_has_one_page_and_takes_no_token(world: World) -> None:
    arn = world.call(
        "CreateModel", ModelName="model", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "image"}
    )["ModelArn"]
    assert world.refusal("ListTags", ResourceArn=arn, NextToken="more") == "The pagination token is invalid."


def test_resource_with_tags_above_fifty_is_not_created(world: World) -> None:
    refusal = world.refusal(
        "CreateModel",
        ModelName="model",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": "image"},
        Tags=tags(*range(51)),
    )
    assert "Member must have length less than or equal to 50" in refusal
    assert world.call("ListModels")["Models"] == []


def test_request_with_a_key_twice_is_refused() -> None:
    with pytest.raises(ApiError, match="Tag keys should be different, got 'key-1' twice"):
        check_keys({"Tags": tags(1, 2, 1)})
