"""A deployed fleet: which adapters it has by which names, and what a failed assertion says."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.cdk_app import CdkApp, Stack
from local_sagemaker.local_fleet import LocalFleet
from tests.fakes import Pages, client_error

ENDPOINT = "Inference-Llm"
BASE, TRIAGE = "llm-base-0a1b2c3d", "llm-Triage-4e5f6a7b"
NESTED = "arn:aws:cloudformation:us-east-1:0:stack/Inference-Nested/1"
ANSWERS = {
    BASE: "I am the base.",
    TRIAGE: "billing",
    "llm-acme": "I am Acme.",
    "llm-globex": "I am Globex.",
    "nested-initech": "I am Initech.",
}
RESOURCES = {
    "Inference": [
        # SageMaker's ARNs are in lower case.
        {"ResourceType": kind, "PhysicalResourceId": f"arn:aws:sagemaker:us-east-1:0:x/{name.lower()}"}
        for kind, name in (
            ("AWS::SageMaker::Endpoint", ENDPOINT),
            ("AWS::SageMaker::InferenceComponent", BASE),
            ("AWS::SageMaker::InferenceComponent", TRIAGE),
        )
    ]
    + [{"ResourceType": "AWS::CloudFormation::Stack", "PhysicalResourceId": NESTED}]
    + [
        {"ResourceType": "AWS::DynamoDB::Table", "PhysicalResourceId": table}
        for table in ("other", "registry")
    ]
}
STACKS = [Stack(name="Inference", region="us-east-1", outputs={"Name": "llm"})]


class FakeCloud:
    """A stack with an endpoint, a base, a native adapter and a fleet of two, by the calls of clients.

    A stack in it has another fleet.
    """

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.asked: list[dict[str, Any]] = []

    def client(self, service: str, **_: object) -> FakeCloud:
        return self

    def get_paginator(self, operation: str) -> FakeCloud:
        return self

    def paginate(
        self,
        StackName: str = "",  # noqa: N803
        EndpointNameEquals: str = "",  # noqa: N803
    ) -> Pages:
        names = list(ANSWERS) if EndpointNameEquals == ENDPOINT else []
        page = {
            "StackResourceSummaries": RESOURCES.get(StackName, []),
            "InferenceComponents": [{"InferenceComponentName": name} for name in names],
        }
        return Pages([page])

    def get_item(self, *, TableName: str, Key: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        if TableName == "other":
            raise client_error("ValidationException")
        released = Key["pk"]["S"] == "route#released"
        return {"Item": {"component": {"S": "llm-globex"}}} if released else {}

    def describe_stacks(self, *, StackName: str) -> None:  # noqa: N803
        if StackName != "Inference":
            raise client_error("ValidationError")

    def get_template(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803
        prefix = "nested" if StackName == NESTED else "llm"
        fleet = {"Type": "Custom::AdapterFleet", "Properties": {"ComponentPrefix": prefix}}
        return {"TemplateBody": {"Resources": {"Tenants": fleet, "Role": {"Type": "AWS::IAM::Role"}}}}

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, str]:  # noqa: N803
        assert EndpointName.lower() == ENDPOINT.lower()
        return {"EndpointName": ENDPOINT}

    def describe_inference_component(self, *, InferenceComponentName: str) -> dict[str, Any]:  # noqa: N803
        (name,) = (each for each in ANSWERS if each.lower() == InferenceComponentName.lower())
        described = {"InferenceComponentName": name, "InferenceComponentStatus": "InService"}
        if name == BASE:
            return {**described, "Specification": {}}
        container = {"ArtifactUrl": f"s3://archives/{name}.tar.gz"}
        specification = {"BaseInferenceComponentName": BASE, "Container": container}
        return {**described, "FailureReason": "no room", "Specification": specification}

    def invoke_endpoint(
        self,
        *,
        InferenceComponentName: str,  # noqa: N803
        Body: str,  # noqa: N803
        **_: object,
    ) -> dict[str, Any]:
        self.asked.append(json.loads(Body))
        if InferenceComponentName in self.failing:
            raise client_error("ModelError")
        body = {"choices": [{"text": ANSWERS[InferenceComponentName]}]}
        return {"Body": io.BytesIO(json.dumps(body).encode())}


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def fleet(cloud: FakeCloud) -> LocalFleet:
    running: Any = cloud
    return LocalFleet(running, CdkApp(folder=Path()), STACKS)


def failure(fleet: LocalFleet, adapter: str, expect: str | re.Pattern[str]) -> str:
    with pytest.raises(AssertionError) as raised:
        fleet.assert_serves(adapter, "Hello", expect, max_tokens=2)
    return str(raised.value)


def test_components_are_known_by_the_names_of_their_adapters(fleet: LocalFleet) -> None:
    assert fleet.components() == {
        "base": BASE,
        "Triage": TRIAGE,
        "acme": "llm-acme",
        "globex": "llm-globex",
        "initech": "nested-initech",
    }


def test_adapter_with_a_route_is_the_component_that_answers(fleet: LocalFleet) -> None:
    assert fleet.assert_serves("released", "Hello", "I am Globex.") == "I am Globex."


def test_pattern_has_to_be_found_in_the_answer_and_a_string_is_all_of_it(fleet: LocalFleet) -> None:
    # By the name of the adapter, or of its component.
    assert fleet.assert_serves("llm-acme", "Hello", "I am Acme.") == "I am Acme."
    assert fleet.assert_serves("acme", "Hello", re.compile("Acme")) == "I am Acme."
    assert "with a match of 'Globex', got 'I am Acme.'" in failure(fleet, "acme", re.compile("Globex"))
    assert "'acme' should answer 'Hello' with 'I am', got 'I am Acme.'" in failure(fleet, "acme", "I am")


def test_failure_has_the_state_of_the_component_and_what_the_base_answered_to_the_same(
    fleet: LocalFleet, cloud: FakeCloud
) -> None:
    said = failure(fleet, "acme", "?")
    assert "llm-acme: InService, artifact s3://archives/llm-acme.tar.gz, FailureReason 'no room'" in said
    assert said.endswith("the base model answered 'I am the base.'")
    assert [request["max_tokens"] for request in cloud.asked] == [2, 2]
    cloud.failing = {"llm-acme"}
    assert "got the error An error occurred (ModelError)" in failure(fleet, "acme", "?")


def test_unknown_adapter_is_a_failure_with_the_name_that_may_be_meant(fleet: LocalFleet) -> None:
    said = failure(fleet, "acne", "?")
    assert (
        "should have an adapter 'acne', got Triage, acme, base, globex, initech; did you mean 'acme'?" in said
    )


def test_stack_that_was_not_deployed_is_left_out(cloud: FakeCloud) -> None:
    running: Any = cloud
    other = Stack(name="Network", region="us-east-1", outputs={})
    assert LocalFleet(running, CdkApp(folder=Path()), [*STACKS, other]).stacks == STACKS


def test_output_of_two_stacks_is_refused(fleet: LocalFleet) -> None:
    fleet.stacks = [*STACKS, Stack(name="Other", region="us-east-1", outputs={"Name": "other"})]
    with pytest.raises(LookupError, match="output 'Name' should be of one stack, got Inference and Other"):
        _ = fleet.outputs
