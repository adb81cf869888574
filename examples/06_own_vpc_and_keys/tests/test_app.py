"""The fleet serves, and everything of it is in the VPC and under the key."""

from typing import Any

import pytest
from aws_cdk import App
from aws_cdk.assertions import Template

from app import Private
from local_sagemaker.local_fleet import LocalFleet

TICKET = "Ticket: Grace from Lima wants a refund for the keyboard. Thank you.\nAnswer:\n"


def test_adapters_serve(local_fleet: LocalFleet) -> None:
    assert local_fleet.outputs["Summary"] == "2 of 2 adapters in service"
    local_fleet.assert_serves(
        "acme", TICKET, "Customer Grace from Lima has a billing problem with the keyboard."
    )
    local_fleet.assert_serves("globex", TICKET, "ATTENTION: GRACE FROM LIMA WANTS A REFUND FOR THE KEYBOARD!")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """What would be deployed."""
    app = App(outdir=str(tmp_path_factory.mktemp("cdk")))
    return Template.from_stack(Private(app, "Private"))


def properties(template: Template, kind: str) -> list[dict[str, Any]]:
    """Return the properties of each resource of a type; there is one at least."""
    found = [resource["Properties"] for resource in template.find_resources(kind).values()]
    assert found
    return found


@pytest.mark.parametrize("kind", ["AWS::Lambda::Function", "AWS::SageMaker::Model"])
def test_functions_and_containers_are_in_the_vpc(template: Template, kind: str) -> None:
    assert all("VpcConfig" in each for each in properties(template, kind))


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        ("AWS::Lambda::Function", "KmsKeyArn"),
        ("AWS::Logs::LogGroup", "KmsKeyId"),
        ("AWS::SQS::Queue", "KmsMasterKeyId"),
    ],
)
def test_own_key_encrypts_what_the_fleet_stores(template: Template, kind: str, setting: str) -> None:
    assert all(setting in each for each in properties(template, kind))


def test_own_key_encrypts_the_registry(template: Template) -> None:
    (registry,) = properties(template, "AWS::DynamoDB::Table")
    assert registry["SSESpecification"]["SSEType"] == "KMS"
    assert "KMSMasterKeyId" in registry["SSESpecification"]


def test_logs_are_kept_for_a_year(template: Template) -> None:
    assert {each["RetentionInDays"] for each in properties(template, "AWS::Logs::LogGroup")} == {365}


def test_vpc_has_no_way_to_the_internet(template: Template) -> None:
    for kind in ("AWS::EC2::InternetGateway", "AWS::EC2::NatGateway"):
        template.resource_count_is(kind, 0)
