from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from multi_adapter_inference import (
    AdapterArtifact,
    ArtifactSource,
    BaseModel,
    InstanceType,
    LoraAdapter,
)
from multi_adapter_inference.models.execution_role import ExecutionRole
from tests.constructs.conftest import MakeEndpoint, imported_endpoint, warnings_of
from tests.constructs.resources import Resources, nag

SAGEMAKER = iam.ServicePrincipal("sagemaker.amazonaws.com")


@pytest.mark.slow
def test_a_user_of_cdk_nag_gets_no_finding_on_the_role(
    app: cdk.App, make_endpoint: MakeEndpoint, adapter_directory: Path, base_directory: Path
) -> None:
    """Buckets, keys and a VPC of the same app: their names are tokens, in the findings' ids as well."""
    known = cdk.Environment(account="123456789012", region="eu-west-1")
    stacks = [cdk.Stack(app, "Anywhere"), cdk.Stack(app, "Known", env=known)]
    for stack in stacks:
        stack.node.set_context("@aws-cdk/core:enablePartitionLiterals", True)
        own = s3.Bucket(stack, "Encrypted", encryption_key=kms.Key(stack, "BucketKey"))
        endpoint = make_endpoint(
            stack,
            base_model=BaseModel.from_directory(base_directory),
            instance_type=InstanceType.of("ml.new.large", local_storage=False),
            artifact_sources=[
                ArtifactSource(bucket=own),
                ArtifactSource(bucket=s3.Bucket(stack, "Plain"), prefix="adapters/"),
            ],
            vpc=ec2.Vpc(stack, "Vpc", max_azs=1),
            encryption_key=kms.Key(stack, "VolumeKey"),
        )
        endpoint.add_adapter("Triage", artifact=AdapterArtifact.from_directory(adapter_directory))

    found = nag(app)
    # There are findings on the buckets and the VPC of this test.
    assert {construct.partition("/")[0] for _, construct in found} == {"Anywhere", "Known"}
    assert [rule for rule, construct in found if "/Llm" in construct] == []


def test_a_user_of_cdk_nag_still_gets_a_finding_on_a_wildcard_of_their_own(
    app: cdk.App, stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    given = iam.Role(stack, "Mine", assumed_by=SAGEMAKER)
    endpoints = [make_endpoint(), make_endpoint(id="Given", role=given)]
    for endpoint in endpoints:
        endpoint.role.add_to_principal_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=["*"]))
    found = nag(app)
    assert {construct for rule, construct in found if rule == "AwsSolutions-IAM5[Resource::*]"} == {
        f"{endpoint.role.node.path}/DefaultPolicy/Resource" for endpoint in endpoints
    }


def test_the_execution_role_may_call_the_endpoint_too(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, bucket: s3.IBucket
) -> None:
    """`Template.from_stack` raises an error for resources that wait for each other."""
    given = iam.Role(stack, "Mine", assumed_by=SAGEMAKER)
    sources = [ArtifactSource(bucket=bucket)]
    for endpoint in (
        make_endpoint(artifact_sources=sources),
        make_endpoint(id="Given", role=given, artifact_sources=sources),
    ):
        adapter = endpoint.add_adapter("Ectsum", artifact=AdapterArtifact.from_bucket(bucket, "a.tar.gz"))
        endpoint.grant_invoke(endpoint.role)
        adapter.grant_invoke(endpoint.role)
    assert len(Resources.of(stack).of_type("AWS::IAM::Policy")) == 4


def test_a_role_of_another_app_is_used_and_given_the_rights_where_it_can_be(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    arn = "arn:aws:iam::123456789012:role/"
    for name, changeable in (("changeable", True), ("fixed", False)):
        role = iam.Role.from_role_arn(stack, f"{name} role", f"{arn}{name}", mutable=changeable)
        make_endpoint(id=name, role=role)
    resources = Resources.of(stack)
    assert resources.only("AWS::IAM::Policy")["Roles"] == ["changeable"]
    policy = resources.id_of("AWS::IAM::Policy")
    components = resources.of_type("AWS::SageMaker::InferenceComponent")
    waiting = [name for name in components if policy in resources[name].get("DependsOn", [])]
    assert [name.startswith("changeable") for name in waiting] == [True]
    used = {model["ExecutionRoleArn"] for model in resources.of_type("AWS::SageMaker::Model").values()}
    assert used == {f"{arn}changeable", f"{arn}fixed"}


def test_endpoints_of_two_stacks_may_share_a_role() -> None:
    names = set()
    for stack in (cdk.Stack(cdk.App(), "One"), cdk.Stack(cdk.App(), "Two")):
        role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::123456789012:role/execution")
        names.add(stack.resolve(ExecutionRole(Construct(stack, "Llm"), role).policy.policy_name))
    assert len(names) == 2


def test_the_role_reads_adapters_from_the_assets_bucket_of_each_stack_that_has_some(
    app: cdk.App, stack: cdk.Stack, adapter_directory: Path
) -> None:
    role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::123456789012:role/execution")
    endpoint = imported_endpoint(stack, role=role)
    artifact = AdapterArtifact.from_directory(adapter_directory)
    other = cdk.Stack(app, "Other", synthesizer=cdk.DefaultStackSynthesizer(qualifier="other"))
    for scope, name in ((stack, "One"), (stack, "Two"), (other, "Three")):
        LoraAdapter(scope, name, endpoint=endpoint, artifact=artifact)
    archives = [
        str(s["Resource"])
        for s in Resources.of(stack).statements("LlmPolicy")
        if s["Action"] == "s3:GetObject"
    ]
    assert all("/lora-adapters/*" in resource for resource in archives)
    assert ["cdk-hnb659fds-assets" in resource for resource in archives] == [True, False]
    assert ["cdk-other-assets" in resource for resource in archives] == [False, True]


def test_a_role_reads_a_bucket_of_another_account_through_s3_alone_and_synth_warns_of_it(
    app: cdk.App, make_endpoint: MakeEndpoint
) -> None:
    """The ARN of their key is in no other account's template, as a key has no name that synth knows."""
    theirs = cdk.Stack(app, "Theirs", env=cdk.Environment(account="222222222222", region="eu-west-1"))
    bucket = s3.Bucket(theirs, "Bucket", bucket_name="theirs", encryption_key=kms.Key(theirs, "Key"))
    own = cdk.Stack(app, "Own", env=cdk.Environment(account="111111111111", region="eu-west-1"))
    endpoint = make_endpoint(own, artifact_sources=[ArtifactSource(bucket=bucket)])
    (statement,) = [s for s in Resources.of(own).statements("LlmPolicy") if s["Action"] == "kms:Decrypt"]
    assert statement["Resource"]["Fn::Join"][1][-1] == ":kms:eu-west-1:222222222222:key/*"
    via = statement["Condition"]["StringEquals"]["kms:ViaService"]
    assert via == {"Fn::Join": ["", ["s3.eu-west-1.", {"Ref": "AWS::URLSuffix"}]]}
    (warning,) = [text for text in warnings_of(endpoint.endpoint) if "bucket-of-another-account" in text]
    assert "'Theirs/Bucket' belongs to the account 222222222222" in warning


def test_rights_to_a_key_with_an_alias_name_the_key(make_endpoint: MakeEndpoint, stack: cdk.Stack) -> None:
    alias = kms.Alias(stack, "Alias", alias_name="alias/adapters", target_key=kms.Key(stack, "Named"))
    source = ArtifactSource(bucket=s3.Bucket(stack, "Encrypted", encryption_key=alias))
    make_endpoint(
        artifact_sources=[source],
        encryption_key=alias,
        instance_type=InstanceType.of("ml.new.large", local_storage=False),
    )
    named = [s["Resource"] for s in Resources.of(stack).statements("LlmPolicy") if "kms" in str(s["Action"])]
    assert len(named) == 3
    assert {resource["Fn::GetAtt"][0][:5] for resource in named} == {"Named"}
