from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Annotations, Match, Template

from multi_adapter_inference import (
    AdapterArtifact,
    ArtifactSource,
    BaseModel,
    InstanceType,
    LoraAdapter,
    MultiAdapterEndpoint,
)
from tests.constructs.conftest import Components, MakeEndpoint, Warnings
from tests.constructs.nag import nag

SAGEMAKER = iam.ServicePrincipal("sagemaker.amazonaws.com")


def statements(stack: cdk.Stack, policy: str) -> list[dict[str, Any]]:
    """Return the statements of the policies whose logical id begins with `policy`."""
    return [
        statement
        for logical_id, resource in Template.from_stack(stack).find_resources("AWS::IAM::Policy").items()
        if logical_id.startswith(policy)
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
    ]


@pytest.mark.parametrize(
    "environment",
    [None, cdk.Environment(account="123456789012", region="eu-west-1")],
    ids=["anywhere", "known region"],
)
def test_a_user_of_cdk_nag_gets_no_finding_on_the_role(
    app: cdk.App,
    make_endpoint: MakeEndpoint,
    adapter_directory: Path,
    base_directory: Path,
    environment: cdk.Environment | None,
) -> None:
    """Buckets, keys and a VPC of the same app: their names are tokens, in the findings' ids as well."""
    stack = cdk.Stack(app, "Own", env=environment)
    stack.node.set_context("@aws-cdk/core:enablePartitionLiterals", True)
    endpoint = make_endpoint(
        stack,
        base_model=BaseModel.from_directory(base_directory),
        instance_type=InstanceType.of("ml.new.large", local_storage=False),
        artifact_sources=[
            ArtifactSource(bucket=s3.Bucket(stack, "Encrypted", encryption_key=kms.Key(stack, "BucketKey"))),
            ArtifactSource(bucket=s3.Bucket(stack, "Plain"), prefix="adapters/"),
        ],
        vpc=ec2.Vpc(stack, "Vpc", max_azs=1),
        encryption_key=kms.Key(stack, "VolumeKey"),
    )
    endpoint.add_adapter("Triage", artifact=AdapterArtifact.from_directory(adapter_directory))

    # There are findings on the buckets and the VPC of this test.
    assert [rule for rule, construct in nag(app) if construct.startswith(endpoint.node.path)] == []


@pytest.mark.parametrize("given", [False, True], ids=["role of the endpoint", "role given"])
def test_a_user_of_cdk_nag_still_gets_a_finding_on_a_wildcard_of_their_own(
    app: cdk.App, stack: cdk.Stack, make_endpoint: MakeEndpoint, given: bool
) -> None:
    role = iam.Role(stack, "Mine", assumed_by=SAGEMAKER) if given else None
    endpoint = make_endpoint(role=role)
    endpoint.role.add_to_principal_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=["*"]))
    found = nag(app)
    assert [construct for rule, construct in found if rule == "AwsSolutions-IAM5[Resource::*]"] == [
        f"{endpoint.role.node.path}/DefaultPolicy/Resource"
    ]


@pytest.mark.parametrize("given", [False, True], ids=["role of the endpoint", "role given"])
def test_the_execution_role_may_call_the_endpoint_too(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket, given: bool
) -> None:
    """`Template.from_stack` raises an error for resources that wait for each other."""
    role = iam.Role(stack, "Mine", assumed_by=SAGEMAKER) if given else None
    endpoint = make_endpoint(role=role, artifact_sources=[ArtifactSource(bucket=bucket)])
    adapter = endpoint.add_adapter("Ectsum", artifact=AdapterArtifact.from_bucket(bucket, "a.tar.gz"))
    endpoint.grant_invoke(endpoint.role)
    adapter.grant_invoke(endpoint.role)
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy")
    assert len(policies) == 2


@pytest.mark.parametrize(
    "changeable", [True, False], ids=["role that can be changed", "role that cannot be changed"]
)
def test_a_role_of_another_app_is_used_and_given_the_rights_where_it_can_be(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, components: Components, changeable: bool
) -> None:
    role = iam.Role.from_role_arn(
        stack, "Imported", "arn:aws:iam::123456789012:role/execution", mutable=changeable
    )
    endpoint = make_endpoint(role=role)
    template = Template.from_stack(stack)
    policies = template.find_resources("AWS::IAM::Policy")
    assert [policy["Properties"]["Roles"] for policy in policies.values()] == [["execution"]] * changeable
    assert set(policies) <= set(components()[endpoint.base_component_name].get("DependsOn", []))
    template.has_resource_properties(
        "AWS::SageMaker::Model", {"ExecutionRoleArn": "arn:aws:iam::123456789012:role/execution"}
    )


def test_endpoints_of_two_stacks_may_share_a_role(make_endpoint: MakeEndpoint) -> None:
    names = set()
    for stack in (cdk.Stack(cdk.App(), "One"), cdk.Stack(cdk.App(), "Two")):
        role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::123456789012:role/execution")
        make_endpoint(stack, role=role)
        (policy,) = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
        names.add(policy["Properties"]["PolicyName"])
    assert len(names) == 2


def test_adapters_of_an_imported_endpoint_wait_for_the_rights_of_its_role(
    stack: cdk.Stack, components: Components, adapter_directory: Path
) -> None:
    imported = MultiAdapterEndpoint.from_endpoint_attributes(
        stack,
        "Imported",
        endpoint_name="llama",
        base_component_name="base",
        component_prefix="acme",
        role=iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::123456789012:role/execution"),
    )
    adapter = LoraAdapter(
        stack, "Triage", endpoint=imported, artifact=AdapterArtifact.from_directory(adapter_directory)
    )
    (policy,) = Template.from_stack(stack).find_resources("AWS::IAM::Policy")
    assert components()[adapter.component_name]["DependsOn"] == [policy]


def test_the_role_reads_adapters_from_the_assets_bucket_of_each_stack_that_has_some(
    app: cdk.App, stack: cdk.Stack, make_endpoint: MakeEndpoint, adapter_directory: Path
) -> None:
    endpoint = make_endpoint()
    artifact = AdapterArtifact.from_directory(adapter_directory)
    endpoint.add_adapter("One", artifact=artifact)
    endpoint.add_adapter("Two", artifact=artifact)
    other = cdk.Stack(app, "Other", synthesizer=cdk.DefaultStackSynthesizer(qualifier="other"))
    LoraAdapter(other, "Three", endpoint=endpoint, artifact=artifact)
    readable = [str(s["Resource"]) for s in statements(stack, "LlmPolicy") if s["Action"] == "s3:GetObject"]
    archives = [resource for resource in readable if "/lora-adapters/*" in resource]
    assert ["cdk-hnb659fds-assets" in resource for resource in archives] == [True, False]
    assert ["cdk-other-assets" in resource for resource in archives] == [False, True]


def test_the_role_may_write_metrics_where_sagemaker_puts_those_of_endpoints(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint()
    (statement,) = [s for s in statements(stack, "LlmPolicy") if s["Action"] == "cloudwatch:PutMetricData"]
    assert statement["Condition"] == {
        "StringEquals": {
            "cloudwatch:namespace": [
                "AWS/SageMaker",
                "/aws/sagemaker/Endpoints",
                "/aws/sagemaker/InferenceComponents",
            ]
        }
    }


@pytest.fixture
def their_bucket(app: cdk.App) -> s3.Bucket:
    """An encrypted bucket of the same app in another account than `own_stack`."""
    stack = cdk.Stack(app, "Theirs", env=cdk.Environment(account="222222222222", region="eu-west-1"))
    return s3.Bucket(stack, "Bucket", bucket_name="theirs", encryption_key=kms.Key(stack, "Key"))


@pytest.fixture
def own_stack(app: cdk.App) -> cdk.Stack:
    return cdk.Stack(app, "Own", env=cdk.Environment(account="111111111111", region="eu-west-1"))


def test_a_role_reads_a_bucket_of_another_account_through_s3_alone(
    make_endpoint: MakeEndpoint, own_stack: cdk.Stack, their_bucket: s3.Bucket
) -> None:
    """The ARN of their key is in no other account's template, as a key has no name that synth knows."""
    make_endpoint(own_stack, artifact_sources=[ArtifactSource(bucket=their_bucket)])
    (statement,) = [s for s in statements(own_stack, "LlmPolicy") if s["Action"] == "kms:Decrypt"]
    assert statement["Resource"]["Fn::Join"][1][-1] == ":kms:eu-west-1:222222222222:key/*"
    via = statement["Condition"]["StringEquals"]["kms:ViaService"]
    assert via == {"Fn::Join": ["", ["s3.eu-west-1.", {"Ref": "AWS::URLSuffix"}]]}


def test_a_bucket_of_another_account_is_a_warning(
    make_endpoint: MakeEndpoint, own_stack: cdk.Stack, their_bucket: s3.Bucket
) -> None:
    make_endpoint(own_stack, artifact_sources=[ArtifactSource(bucket=their_bucket)])
    (warning,) = [
        str(found.entry.data)
        for found in Annotations.from_stack(own_stack).find_warning("*", Match.any_value())
        if "bucket-of-another-account" in str(found.entry.data)
    ]
    assert "'Theirs/Bucket' belongs to the account 222222222222" in warning


def test_rights_to_a_key_with_an_alias_name_the_key(make_endpoint: MakeEndpoint, stack: cdk.Stack) -> None:
    alias = kms.Alias(stack, "Alias", alias_name="alias/adapters", target_key=kms.Key(stack, "Named"))
    source = ArtifactSource(bucket=s3.Bucket(stack, "Encrypted", encryption_key=alias))
    make_endpoint(
        artifact_sources=[source],
        encryption_key=alias,
        instance_type=InstanceType.of("ml.new.large", local_storage=False),
    )
    named = [s["Resource"] for s in statements(stack, "LlmPolicy") if "kms" in str(s["Action"])]
    assert len(named) == 3
    assert {resource["Fn::GetAtt"][0][:5] for resource in named} == {"Named"}


def test_a_bucket_of_the_same_account_is_no_warning(make_endpoint: MakeEndpoint, warnings: Warnings) -> None:
    make_endpoint()
    assert not [warning for warning in warnings() if "bucket-of-another-account" in warning]
