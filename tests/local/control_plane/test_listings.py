"""Listings and tags."""

from collections.abc import Iterator
from typing import Any

import pytest

from local_sagemaker.control_plane.component import Component
from local_sagemaker.control_plane.tags import check_keys
from local_sagemaker.errors import ApiError
from tests.local.world import ROLE, World


@pytest.fixture
def many(world: World) -> World:
    """Three adapters, a second apart, and a failed one."""
    world.serve()
    for name in ("blue", "amber", "cyan"):
        world.create_adapter(name, pass_time=10)
    world.create_adapter("broken", artifact="missing", pass_time=10)
    return world


def names(world: World, **request: object) -> list[str]:
    answer = world.call("ListInferenceComponents", **request)
    return [summary["InferenceComponentName"] for summary in answer["InferenceComponents"]]


def test_newest_first_unless_told_otherwise(many: World) -> None:
    assert names(many) == ["broken", "cyan", "amber", "blue", "base"]
    assert names(many, SortOrder="Ascending") == ["base", "blue", "amber", "cyan", "broken"]
    assert names(many, SortBy="Name", SortOrder="Ascending") == ["amber", "base", "blue", "broken", "cyan"]
    assert names(many, SortBy="Status", SortOrder="Ascending")[0] == "broken"


def pages(world: World, kind: str, **request: object) -> Iterator[list[str]]:
    """The names on each page of a listing."""
    token: dict[str, str] = {}
    while True:
        page = world.call(f"List{kind}s", **request, **token)
        yield [summary[f"{kind}Name"] for summary in page[f"{kind}s"]]
        if "NextToken" not in page:
            return
        token = {"NextToken": page["NextToken"]}


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("sort_by", ["CreationTime", "Name"])
def test_what_comes_and_goes_between_pages_moves_nothing_else(world: World, sort_by: str, order: str) -> None:
    for number in range(1, 9):
        world.create_model(f"model-{number}")
        world.pass_time(number % 2)  # so that some share their time
    seen: list[str] = []
    for found in pages(world, "Model", SortBy=sort_by, SortOrder=order, MaxResults=3):
        if not seen:
            world.call("DeleteModel", ModelName=found[0])
            world.call("DeleteModel", ModelName=found[-1])
            if sort_by == "Name":
                world.create_model("model-0" if order == "Ascending" else "model-9")
        seen += found
    assert sorted(seen) == [f"model-{number}" for number in range(1, 9)]


def test_page_looks_at_no_more_components_than_it_has(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.serve()
    for number in range(60):
        world.create_adapter(f"adapter-{number}")
    world.pass_time(60)
    looked_at: list[str] = []
    seen_at = Component.seen_at

    def counted(component: Component, moment: float) -> tuple[str, float] | None:
        looked_at.append(component.name)
        return seen_at(component, moment)

    monkeypatch.setattr(Component, "seen_at", counted)
    seen: list[str] = []
    for found in pages(world, "InferenceComponent"):
        assert len(looked_at) <= len(found) + 1 <= 11
        looked_at.clear()
        seen += found
    assert len(seen) == len(set(seen)) == 61


def test_token_of_another_order_is_refused(world: World) -> None:
    for name in ("one", "two"):
        world.create_model(name)
    token = world.call("ListModels", SortBy="Name", MaxResults=1)["NextToken"]
    for other in (token, "bm9uZQ=="):
        assert "pagination token" in world.refusal("ListModels", SortBy="CreationTime", NextToken=other)


def test_filters_by_text_status_endpoint_and_variant(many: World) -> None:
    many.create_endpoint("elsewhere")
    many.create_base("far", endpoint="elsewhere", pass_time=10)
    assert names(many, NameContains="b", MaxResults=2) == ["broken", "amber"]
    assert names(many, StatusEquals="Failed") == ["broken"]
    assert names(many, EndpointNameEquals="elsewhere") == ["far"]
    assert names(many, EndpointNameEquals="ElseWhere") == ["far"]
    assert names(many, EndpointNameEquals="endpoint", NameContains="base") == ["base"]
    assert names(many, VariantNameEquals="Other") == []


def test_filters_by_time(many: World) -> None:
    created = many.component("amber")["CreationTime"]
    assert names(many, CreationTimeBefore=created) == ["blue", "base"]
    assert names(many, CreationTimeAfter=created) == ["broken", "cyan"]
    many.update_adapter("blue", "blue-v2")
    moment = many.clock.now()
    many.pass_time(10)
    assert names(many, LastModifiedTimeAfter=moment) == ["blue"]
    assert names(many, LastModifiedTimeBefore=moment) == ["broken", "cyan", "amber", "base"]


def test_every_kind_is_listed(world: World) -> None:
    world.serve()
    assert world.call("ListModels")["Models"][0]["ModelName"] == "model"
    assert world.call("ListEndpointConfigs")["EndpointConfigs"][0]["EndpointConfigName"] == "endpoint-config"
    assert world.call("ListEndpoints", StatusEquals="InService")["Endpoints"][0]["EndpointName"] == "endpoint"
    assert world.call("ListEndpoints", StatusEquals="Failed")["Endpoints"] == []


def test_listing_can_lag_behind(world: World) -> None:
    world.serve(listing_lag_seconds=5, component_create_seconds=1, component_delete_seconds=1)
    world.create_adapter("one", pass_time=2)
    assert world.status("one") == "InService"
    assert names(world, NameContains="one") == []
    world.pass_time(3.5)
    assert names(world, NameContains="one", StatusEquals="Creating") == ["one"]
    world.pass_time(5)
    assert names(world, NameContains="one", StatusEquals="InService") == ["one"]
    world.delete("one", pass_time=2)
    assert names(world, NameContains="one") == ["one"]
    world.pass_time(6)
    assert names(world, NameContains="one") == []
    # One that was there for less than the lag is listed as long.
    world.create_adapter("two", pass_time=1.5)
    world.delete("two", pass_time=1.5)
    assert names(world) == ["base"]
    world.pass_time(3)
    assert names(world) == ["two", "base"]
    world.pass_time(6)
    assert names(world) == ["base"]


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
    check_keys({"Tags": tags(1, 2, 3), "TagKeys": ["key-1", "key-2"]})
