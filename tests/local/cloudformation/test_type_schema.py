"""The registry of types: schemas, beside AWS's own, which cfn-lint has, and the listing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cfnlint
import pytest
from botocore.exceptions import ClientError

from local_sagemaker.cloudformation.resource_types import RESOURCE_TYPES, ResourceType
from local_sagemaker.cloudformation.type_schema import type_schema


def of_aws(name: str) -> dict[str, Any]:
    folder = Path(cfnlint.__file__).parent / "data" / "schemas"
    files = json.loads((folder / "providers" / "us-east-1.json").read_text(encoding="utf-8"))
    schema: dict[str, Any] = json.loads((folder / "resources" / f"{files[name]}.json").read_text("utf-8"))
    return schema


@pytest.mark.parametrize("resource", RESOURCE_TYPES, ids=lambda resource: resource.kind)
def test_top_level_of_a_schema_is_that_of_aws(resource: ResourceType) -> None:
    ours, aws = type_schema(resource), of_aws(resource.cloudformation_type)
    assert set(ours["properties"]) == set(aws["properties"])
    assert set(ours.get("createOnlyProperties", [])) == set(aws.get("createOnlyProperties", []))
    assert ours["primaryIdentifier"] == aws["primaryIdentifier"]
    top = {path for path in aws["readOnlyProperties"] if path.count("/") == 2}
    # Nobody can set EndpointArn, though AWS's schema does not say so.
    assert set(ours["readOnlyProperties"]) - {"/properties/EndpointArn"} == top - {"/properties/EndpointArn"}


def test_client_reads_a_type_by_its_name_or_its_arn(client: Callable[..., Any]) -> None:
    cloudformation = client("cloudformation")
    name = "AWS::SageMaker::InferenceComponent"
    described = cloudformation.describe_type(Type="RESOURCE", TypeName=name)
    assert json.loads(described["Schema"])["typeName"] == name
    assert cloudformation.describe_type(Arn=described["Arn"])["TypeName"] == name


def test_types_are_listed_by_prefix_page_by_page(client: Callable[..., Any]) -> None:
    pages = client("cloudformation").get_paginator("list_types")

    def listed(**arguments: Any) -> list[str]:
        found = pages.paginate(Filters={"TypeNamePrefix": "AWS::SageMaker::"}, **arguments)
        return [summary["TypeName"] for page in found for summary in page["TypeSummaries"]]

    ours = sorted(resource.cloudformation_type for resource in RESOURCE_TYPES)
    assert listed(Visibility="PUBLIC", PaginationConfig={"PageSize": 1}) == ours
    assert listed(Visibility="PUBLIC", Type="HOOK") == listed() == []


def test_type_that_is_not_there_is_not_found(client: Callable[..., Any]) -> None:
    with pytest.raises(ClientError) as refused:
        client("cloudformation").describe_type(Type="RESOURCE", TypeName="AWS::SageMaker::Nothing")
    assert refused.value.response["Error"]["Code"] == "TypeNotFoundException"
