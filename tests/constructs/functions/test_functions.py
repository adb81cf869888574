"""What all functions of the library have, whichever construct they belong to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Annotations, Match, Template
from cdk_nag import AwsSolutionsChecks

from multi_adapter_inference import AdapterFleet, AdapterManifest, ArtifactSource, FunctionHosting
from tests.constructs.conftest import MakeEndpoint, WriteManifest

HANDLERS = ("framework.", "adapter_fleet.")


@pytest.fixture(params=["fleet of a file", "fleet of an object"])
def add(
    request: pytest.FixtureRequest,
    stack: cdk.Stack,
    bucket: s3.IBucket,
    make_endpoint: MakeEndpoint,
    write_manifest: WriteManifest,
) -> Callable[..., AdapterFleet]:
    """Return a function that adds a construct that has functions."""

    def add_construct(**settings: Any) -> AdapterFleet:
        endpoint = make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")])
        manifest = (
            AdapterManifest.from_file(write_manifest())
            if request.param == "fleet of a file"
            else AdapterManifest.from_bucket(bucket, "fleets/tenants.yaml", enable_events=False)
        )
        return AdapterFleet(
            stack, "Tenants", endpoint=endpoint, manifest=manifest, functions=FunctionHosting(**settings)
        )

    return add_construct


@pytest.fixture
def functions(stack: cdk.Stack) -> Callable[[], dict[str, Any]]:
    """Return a function that returns the properties of all functions by their logical ids."""
    return lambda: {
        logical_id: resource["Properties"]
        for logical_id, resource in Template.from_stack(stack).find_resources("AWS::Lambda::Function").items()
        if resource["Properties"]["Handler"].startswith(HANDLERS)
    }


def statements_of(stack: cdk.Stack, function: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements of a function's role."""
    template = Template.from_stack(stack)
    (role, _) = function["Role"]["Fn::GetAtt"]
    found = list(template.find_resources("AWS::IAM::Role")[role]["Properties"]["Policies"])
    for policy in template.find_resources("AWS::IAM::Policy").values():
        if {"Ref": role} in policy["Properties"]["Roles"]:
            found.append(policy["Properties"])
    return [statement for policy in found for statement in policy["PolicyDocument"]["Statement"]]


def test_failure_is_logged_on_one_line_and_reported_without_a_stack(
    add: Callable[..., AdapterFleet], functions: Callable[[], dict[str, Any]]
) -> None:
    add()
    for function in functions().values():
        assert function["LoggingConfig"]["LogFormat"] == "JSON"
        if function["Handler"].startswith("framework."):
            assert function["LoggingConfig"]["ApplicationLogLevel"] == "FATAL"  # payloads have a lower level
            assert function["Environment"]["Variables"]["NODE_OPTIONS"] == "--stack-trace-limit=0"


def test_every_function_keeps_the_events_that_it_failed_to_handle(
    stack: cdk.Stack, add: Callable[..., AdapterFleet], functions: Callable[[], dict[str, Any]]
) -> None:
    add()
    (queue,) = Template.from_stack(stack).find_resources("AWS::SQS::Queue")
    arn = {"Fn::GetAtt": [queue, "Arn"]}
    assert len(functions()) >= 6
    for function in functions().values():
        assert function["DeadLetterConfig"] == {"TargetArn": arn}
        assert {"Action": "sqs:SendMessage", "Effect": "Allow", "Resource": arn} in statements_of(
            stack, function
        )


def test_the_queue_of_failed_events_keeps_them_as_long_as_sqs_can_and_is_encrypted(
    stack: cdk.Stack, add: Callable[..., AdapterFleet]
) -> None:
    add()
    (queue,) = Template.from_stack(stack).find_resources("AWS::SQS::Queue").values()
    assert queue["Properties"] == {"MessageRetentionPeriod": 14 * 24 * 3600, "SqsManagedSseEnabled": True}


@pytest.fixture
def vpc(stack: cdk.Stack) -> ec2.IVpc:
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id="vpc-1",
        availability_zones=["a", "b"],
        private_subnet_ids=["subnet-a", "subnet-b"],
    )


def test_every_function_is_in_the_given_subnets_with_one_security_group(
    stack: cdk.Stack,
    add: Callable[..., AdapterFleet],
    functions: Callable[[], dict[str, Any]],
    vpc: ec2.IVpc,
) -> None:
    add(vpc=vpc)
    (group,) = Template.from_stack(stack).find_resources("AWS::EC2::SecurityGroup")
    for function in functions().values():
        assert function["VpcConfig"] == {
            "SubnetIds": ["subnet-a", "subnet-b"],
            "SecurityGroupIds": [{"Fn::GetAtt": [group, "GroupId"]}],
        }
        interfaces = [
            s for s in statements_of(stack, function) if "ec2:CreateNetworkInterface" in s["Action"]
        ]
        assert [s["Resource"] for s in interfaces] == ["*"]


def test_every_function_is_in_the_given_security_groups(
    stack: cdk.Stack,
    add: Callable[..., AdapterFleet],
    functions: Callable[[], dict[str, Any]],
    vpc: ec2.IVpc,
) -> None:
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1")
    add(
        vpc=vpc,
        security_groups=[group],
        vpc_subnets=ec2.SubnetSelection(subnets=[ec2.Subnet.from_subnet_id(stack, "Own", "subnet-c")]),
    )
    for function in functions().values():
        assert function["VpcConfig"] == {"SubnetIds": ["subnet-c"], "SecurityGroupIds": ["sg-1"]}


def test_subnets_without_a_vpc_are_an_error(add: Callable[..., AdapterFleet]) -> None:
    with pytest.raises(ValueError, match=r"FunctionHosting: 'vpc' should be given with 'vpc_subnets'"):
        add(vpc_subnets=ec2.SubnetSelection())


def test_a_key_encrypts_what_functions_leave(
    stack: cdk.Stack, add: Callable[..., AdapterFleet], functions: Callable[[], dict[str, Any]]
) -> None:
    key = kms.Key(stack, "Key")
    add(encryption_key=key, log_retention=logs.RetentionDays.ONE_YEAR)
    arn = stack.resolve(key.key_arn)
    template = Template.from_stack(stack)
    (queue,) = template.find_resources("AWS::SQS::Queue").values()
    assert queue["Properties"]["KmsMasterKeyId"] == arn
    for group in template.find_resources("AWS::Logs::LogGroup").values():
        assert group["Properties"] == {"KmsKeyId": arn, "RetentionInDays": 365}
    for function in functions().values():
        assert function["KmsKeyArn"] == arn
        assert any(
            "kms:Decrypt" in statement["Action"] and statement["Resource"] == arn
            for statement in statements_of(stack, function)
        )


def test_the_key_lets_cloudwatch_logs_use_it_for_log_groups_of_this_account(
    stack: cdk.Stack, add: Callable[..., AdapterFleet]
) -> None:
    add(encryption_key=kms.Key(stack, "Key"))
    (key,) = Template.from_stack(stack).find_resources("AWS::KMS::Key").values()
    *_, statement = key["Properties"]["KeyPolicy"]["Statement"]
    assert statement["Principal"]["Service"]["Fn::Join"][1] == [
        "logs.",
        {"Ref": "AWS::Region"},
        ".",
        {"Ref": "AWS::URLSuffix"},
    ]
    assert list(statement["Condition"]["ArnLike"]) == ["kms:EncryptionContext:aws:logs:arn"]


def test_the_key_lets_eventbridge_put_events_of_the_account_into_the_queue(
    stack: cdk.Stack, add: Callable[..., AdapterFleet]
) -> None:
    add(encryption_key=kms.Key(stack, "Key"))
    (key,) = Template.from_stack(stack).find_resources("AWS::KMS::Key").values()
    assert {
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    } in key["Properties"]["KeyPolicy"]["Statement"]


def test_of_a_key_whose_policy_is_not_the_apps_synth_says_what_it_needs(
    stack: cdk.Stack, add: Callable[..., AdapterFleet]
) -> None:
    key = kms.Key.from_key_arn(stack, "Key", "arn:aws:kms:us-east-1:111122223333:key/1")
    add(encryption_key=key)
    infos = Annotations.from_stack(stack).find_info("*", Match.any_value())
    assert [
        info.id
        for info in infos
        if "should let CloudWatch Logs and EventBridge use it; the guide 'Security'" in str(info.entry.data)
    ]


def test_cdk_nag_finds_nothing_in_a_vpc_with_a_key(
    app: cdk.App, stack: cdk.Stack, add: Callable[..., AdapterFleet], vpc: ec2.IVpc, tmp_path: Path
) -> None:
    add(encryption_key=kms.Key(stack, "Key", enable_key_rotation=True), vpc=vpc)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()
