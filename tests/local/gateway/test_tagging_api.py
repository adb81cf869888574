"""SageMaker's resources in the Resource Groups Tagging API."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.local.stacks import ROLE


@pytest.fixture
def api(client: Callable[..., Any]) -> Any:
    return client("resourcegroupstaggingapi")


@pytest.fixture
def model(client: Callable[..., Any]) -> Iterator[str]:
    """The ARN of a model with one tag."""
    name = f"tagged-{uuid.uuid4().hex[:8]}"
    made = client("sagemaker").create_model(
        ModelName=name,
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": "image"},
        Tags=[{"Key": "team", "Value": name}],
    )
    arn: str = made["ModelArn"]
    yield arn
    client("sagemaker").delete_model(ModelName=name)


def tagged(api: Any, model: str, *types: str) -> list[str]:
    """The resources with the tag of the model."""
    filters = [{"Key": "team", "Values": [model.rpartition("/")[2]]}]
    found = api.get_resources(TagFilters=filters, ResourceTypeFilters=list(types))
    return [resource["ResourceARN"] for resource in found["ResourceTagMappingList"]]


def test_resource_is_found_by_its_tag_and_its_type(api: Any, model: str) -> None:
    assert tagged(api, model) == tagged(api, model, "sagemaker") == tagged(api, model, "sagemaker:model")
    assert tagged(api, model) == [model]
    assert tagged(api, model, "sagemaker:endpoint") == []


def test_tags_that_are_set_and_removed_are_sagemakers(
    api: Any, model: str, client: Callable[..., Any]
) -> None:
    assert api.tag_resources(ResourceARNList=[model], Tags={"stage": "test"})["FailedResourcesMap"] == {}
    assert api.untag_resources(ResourceARNList=[model], TagKeys=["team"])["FailedResourcesMap"] == {}
    assert client("sagemaker").list_tags(ResourceArn=model)["Tags"] == [{"Key": "stage", "Value": "test"}]
    api.untag_resources(ResourceARNList=[model], TagKeys=["stage"])
    listed = api.get_resources(ResourceTypeFilters=["sagemaker:model"])["ResourceTagMappingList"]
    assert model not in [resource["ResourceARN"] for resource in listed]


def test_resource_that_is_not_there_cannot_be_tagged(api: Any, model: str) -> None:
    gone = model + "-gone"
    failed = api.tag_resources(ResourceARNList=[gone], Tags={"a": "b"})["FailedResourcesMap"]
    assert failed[gone]["ErrorMessage"] == "Resource does not exist"
