from __future__ import annotations

from collections.abc import Callable

import pytest

from local_sagemaker.control_plane.component import Component
from tests.local.world import World


@pytest.fixture
def many(world: World) -> World:
    """Three adapters, a second apart, and a failed one."""
    world.serve()
    for name in ("blue", "amber", "cyan"):
        world.create_adapter(name)
        world.pass_time(10)
    world.create_adapter("broken", artifact="missing")
    world.pass_time(10)
    return world


def names(world: World, **request: object) -> list[str]:
    answer = world.call("ListInferenceComponents", **request)
    return [summary["InferenceComponentName"] for summary in answer["InferenceComponents"]]


def test_newest_first_unless_told_otherwise(many: World) -> None:
    assert names(many) == ["broken", "cyan", "amber", "blue", "base"]
    assert names(many, SortOrder="Ascending") == ["base", "blue", "amber", "cyan", "broken"]
    assert names(many, SortBy="Name", SortOrder="Ascending") == ["amber", "base", "blue", "broken", "cyan"]
    assert names(many, SortBy="Status", SortOrder="Ascending")[0] == "broken"


def test_pages_hold_ten_unless_told_otherwise_and_lose_nothing(world: World) -> None:
    for number in range(23):
        world.create_model(f"model-{number:02}")
    first = world.call("ListModels", SortBy="Name", SortOrder="Ascending")
    assert len(first["Models"]) == 10
    seen = [summary["ModelName"] for summary in first["Models"]]
    token = first["NextToken"]
    while token:
        page = world.call("ListModels", SortBy="Name", SortOrder="Ascending", MaxResults=6, NextToken=token)
        assert len(page["Models"]) <= 6
        seen += [summary["ModelName"] for summary in page["Models"]]
        token = page.get("NextToken")
    assert seen == [f"model-{number:02}" for number in range(23)]


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("sort_by", ["CreationTime", "Name"])
def test_what_comes_and_goes_between_pages_moves_nothing_else(world: World, sort_by: str, order: str) -> None:
    for number in range(1, 9):
        world.create_model(f"model-{number}")
        world.pass_time(number % 2)  # so that some share their time
    request = {"SortBy": sort_by, "SortOrder": order, "MaxResults": 3}
    seen: list[str] = []
    token = None
    while token is not None or not seen:
        page = world.call("ListModels", **request, **({"NextToken": token} if token else {}))
        names = [summary["ModelName"] for summary in page["Models"]]
        if not seen:
            world.call("DeleteModel", ModelName=names[0])
            world.call("DeleteModel", ModelName=names[-1])
            if sort_by == "Name":
                world.create_model("model-0" if order == "Ascending" else "model-9")
        seen += names
        token = page.get("NextToken")
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
    token = None
    while token is not None or not seen:
        page = world.call("ListInferenceComponents", **({"NextToken": token} if token else {}))
        assert len(looked_at) <= len(page["InferenceComponents"]) + 1
        looked_at.clear()
        seen += [summary["InferenceComponentName"] for summary in page["InferenceComponents"]]
        token = page.get("NextToken")
    assert len(seen) == len(set(seen)) == 61


def test_token_of_another_order_is_refused(world: World) -> None:
    for name in ("one", "two"):
        world.create_model(name)
    token = world.call("ListModels", SortBy="Name", MaxResults=1)["NextToken"]
    for other in (token, "bm9uZQ=="):
        assert "pagination token" in world.refusal("ListModels", SortBy="CreationTime", NextToken=other)


def test_filters_by_text_status_endpoint_and_variant(many: World) -> None:
    many.create_endpoint("elsewhere")
    many.create_base("far", endpoint="elsewhere")
    many.pass_time(10)
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


def test_summary_has_no_specification_no_reason_and_no_base(many: World) -> None:
    summary = many.call("ListInferenceComponents", NameContains="broken")["InferenceComponents"][0]
    assert summary.keys() == {
        "InferenceComponentName",
        "InferenceComponentArn",
        "EndpointName",
        "EndpointArn",
        "VariantName",
        "InferenceComponentStatus",
        "CreationTime",
        "LastModifiedTime",
    }


def test_every_kind_is_listed(world: World) -> None:
    world.serve()
    assert world.call("ListModels")["Models"][0]["ModelName"] == "model"
    assert world.call("ListEndpointConfigs")["EndpointConfigs"][0]["EndpointConfigName"] == "endpoint-config"
    assert world.call("ListEndpoints", StatusEquals="InService")["Endpoints"][0]["EndpointName"] == "endpoint"
    assert world.call("ListEndpoints", StatusEquals="Failed")["Endpoints"] == []


def test_listing_can_lag_behind(world_with: Callable[..., World]) -> None:
    world = world_with(listing_lag_seconds=5, component_create_seconds=1, component_delete_seconds=1)
    world.serve()
    world.create_adapter("one")
    world.pass_time(2)
    assert world.status("one") == "InService"
    assert names(world, NameContains="one") == []
    world.pass_time(3.5)
    assert names(world, NameContains="one", StatusEquals="Creating") == ["one"]
    world.pass_time(5)
    assert names(world, NameContains="one", StatusEquals="InService") == ["one"]
    world.call("DeleteInferenceComponent", InferenceComponentName="one")
    world.pass_time(2)
    assert names(world, NameContains="one") == ["one"]
    world.pass_time(6)
    assert names(world, NameContains="one") == []


def test_lagging_listing_shows_components_that_were_there_for_less_than_its_lag(
    world_with: Callable[..., World],
) -> None:
    world = world_with(listing_lag_seconds=5, component_create_seconds=1, component_delete_seconds=1)
    world.serve()
    for name in ("one", "two"):
        world.create_adapter(name)
        world.pass_time(1.5)
        world.call("DeleteInferenceComponent", InferenceComponentName=name)
    world.pass_time(1.5)
    assert names(world) == ["base"]
    world.pass_time(1)
    assert "one" in names(world)
    world.pass_time(6)
    assert names(world) == ["base"]
