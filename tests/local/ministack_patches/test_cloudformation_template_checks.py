from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

HANDLE = {"Type": "AWS::CloudFormation::WaitConditionHandle"}


def queue(name: Any) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", "Properties": {"Tags": [{"Key": "a", "Value": name}]}}


@pytest.mark.parametrize(
    ("template", "block"),
    [
        ({"Resources": {"One": queue({"Ref": "Nothing"})}}, "Resources"),
        ({"Resources": {"One": queue({"Fn::GetAtt": ["Nothing", "Arn"]})}}, "Resources"),
        ({"Resources": {"One": queue({"Fn::Join": ["", [{"Fn::GetAtt": "Nothing.Arn"}]]})}}, "Resources"),
        ({"Resources": {"One": queue({"Fn::Sub": "a ${Nothing.Arn}"})}}, "Resources"),
        ({"Resources": {"One": HANDLE}, "Outputs": {"Two": {"Value": {"Ref": "Nothing"}}}}, "Outputs"),
    ],
    ids=["Ref", "GetAtt", "GetAtt of a text", "Sub", "output"],
)
def test_reference_to_nothing_is_refused(
    client: Callable[..., Any], template: dict[str, Any], block: str
) -> None:
    message = rf"Unresolved resource dependencies \[Nothing\] in the {block} block of the template"
    with pytest.raises(ClientError, match=message):
        client("cloudformation").create_stack(StackName="refers", TemplateBody=json.dumps(template))


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({}, "At least one Resources member must be defined."),
        ({"A-B": HANDLE}, "Resource name A-B is non alphanumeric."),
        ({"One": {}}, "[/Resources/One] Every Resources object must contain a Type member."),
        (
            {"One": {**HANDLE, "DependsOn": ["Nothing"]}},
            "Unresolved resource dependencies [Nothing] in the Resources block of the template",
        ),
    ],
    ids=["no resource", "name", "no type", "dependency"],
)
@pytest.mark.parametrize("call", ["create_stack", "create_change_set"])
def test_malformed_template_is_refused(
    client: Callable[..., Any], call: str, resources: dict[str, Any], message: str
) -> None:
    change_set = {"ChangeSetName": "first", "ChangeSetType": "CREATE"} if call == "create_change_set" else {}
    with pytest.raises(ClientError) as refused:
        getattr(client("cloudformation"), call)(
            StackName="malformed", TemplateBody=json.dumps({"Resources": resources}), **change_set
        )
    assert refused.value.response["Error"] == {
        "Type": "Sender",
        "Code": "ValidationError",
        "Message": f"Template format error: {message}",
    }


def test_parameter_that_the_template_does_not_have_is_refused(client: Callable[..., Any]) -> None:
    with pytest.raises(ClientError, match=r"Parameters: \[Size\] do not exist in the template"):
        client("cloudformation").create_stack(
            StackName="parameters",
            TemplateBody=json.dumps({"Resources": {"One": HANDLE}}),
            Parameters=[{"ParameterKey": "Size", "ParameterValue": "1"}],
        )


def test_role_without_the_capability_is_refused(client: Callable[..., Any]) -> None:
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}}
    with pytest.raises(ClientError, match=r"Requires capabilities : \[CAPABILITY_IAM\]"):
        client("cloudformation").create_stack(
            StackName="capabilities", TemplateBody=json.dumps({"Resources": {"One": role}})
        )


def test_references_to_what_is_there_are_taken(client: Callable[..., Any]) -> None:
    template = {
        "Parameters": {"Given": {"Type": "String", "Default": "a"}},
        "Resources": {
            "One": queue({"Fn::Sub": ["${Given} ${Own} ${!Text} ${AWS::Region}", {"Own": {"Ref": "Given"}}]}),
            "Two": queue({"Fn::GetAtt": ["One", "QueueName"]}),
            "Three": queue({"Ref": "AWS::StackName"}),
        },
        "Outputs": {"Four": {"Value": {"Fn::Sub": "${Two.Arn}"}}},
    }
    cloudformation = client("cloudformation")
    cloudformation.create_stack(StackName="refers", TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(StackName="refers", WaiterConfig={"Delay": 1})
    cloudformation.delete_stack(StackName="refers")
