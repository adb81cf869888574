"""What all functions of the library have, whichever construct they belong to."""

import pytest
from aws_cdk.assertions import Template

from multi_adapter_inference import AdapterFleet, AdapterManifest, ArtifactSource, HubModel

HANDLERS = ("framework.", "adapter_fleet.")


@pytest.fixture(params=["fleet of a file", "fleet of an object", "model of the hub"])
def add(request, stack, bucket, make_endpoint, write_manifest):
    """Return a function that adds a construct that has functions."""

    def add_construct(**settings):
        if request.param == "model of the hub":
            return HubModel(
                stack, "Copy", model_id="acme/llama", revision="0" * 40, bucket=bucket, **settings
            )
        endpoint = make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")])
        manifest = (
            AdapterManifest.from_file(write_manifest())
            if request.param == "fleet of a file"
            else AdapterManifest.from_bucket(bucket, "fleets/tenants.yaml", enable_events=False)
        )
        return AdapterFleet(stack, "Tenants", endpoint=endpoint, manifest=manifest, **settings)

    return add_construct


@pytest.fixture
def functions(stack):
    """Return a function that returns the properties of all functions by their logical ids."""
    return lambda: {
        logical_id: resource["Properties"]
        for logical_id, resource in Template.from_stack(stack).find_resources("AWS::Lambda::Function").items()
        if resource["Properties"]["Handler"].startswith(HANDLERS)
    }


def statements_of(stack, function):
    """Return the statements of a function's role."""
    template = Template.from_stack(stack)
    (role, _) = function["Role"]["Fn::GetAtt"]
    found = list(template.find_resources("AWS::IAM::Role")[role]["Properties"]["Policies"])
    for policy in template.find_resources("AWS::IAM::Policy").values():
        if {"Ref": role} in policy["Properties"]["Roles"]:
            found.append(policy["Properties"])
    return [statement for policy in found for statement in policy["PolicyDocument"]["Statement"]]


def test_every_function_keeps_the_events_that_it_failed_to_handle(stack, add, functions):
    add()
    (queue,) = Template.from_stack(stack).find_resources("AWS::SQS::Queue")
    arn = {"Fn::GetAtt": [queue, "Arn"]}
    assert len(functions()) >= 6
    for function in functions().values():
        assert function["DeadLetterConfig"] == {"TargetArn": arn}
        assert {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": arn} in statements_of(
            stack, function
        )


def test_the_queue_of_failed_events_keeps_them_as_long_as_sqs_can_and_is_encrypted(stack, add):
    add()
    (queue,) = Template.from_stack(stack).find_resources("AWS::SQS::Queue").values()
    assert queue["Properties"] == {"MessageRetentionPeriod": 14 * 24 * 3600, "SqsManagedSseEnabled": True}
