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
