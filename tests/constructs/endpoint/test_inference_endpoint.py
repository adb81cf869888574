"""An endpoint that several base models share."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from multi_adapter_inference import (
    AdapterArtifact,
    ArtifactSource,
    BaseComponent,
    BaseModel,
    ComputeRequirements,
    InferenceEndpoint,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraAdapter,
    LoraServing,
    VllmContainer,
    VllmVersion,
)
from tests.constructs.conftest import MakeEndpoint, warnings_of
from tests.constructs.resources import Resources

AddBase = Callable[..., BaseComponent]
LORA = LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=16)


def one_accelerator(accelerators: int = 1) -> ComputeRequirements:
    return ComputeRequirements(accelerators=accelerators, min_memory=cdk.Size.gibibytes(8))


def described(bucket: s3.IBucket, **settings: Any) -> dict[str, Any]:
    """Return the arguments of a base model, by default of one accelerator of the endpoint's four."""
    return {
        "model": BaseModel.from_bucket(bucket, "llama/"),
        "container": LmiContainer(version=LmiVersion.V19),
        "lora": LORA,
        "compute": one_accelerator(),
        **settings,
    }


@pytest.fixture
def endpoint(stack: cdk.Stack) -> InferenceEndpoint:
    return InferenceEndpoint(stack, "Endpoint", instance_type=InstanceType.ML_G5_12XLARGE)


@pytest.fixture
def add(endpoint: InferenceEndpoint, bucket: s3.IBucket) -> AddBase:
    """Return a function that adds a base model."""

    def add(id: str = "Llama", **settings: Any) -> BaseComponent:
        return endpoint.add_base_model(id, **described(bucket, **settings))

    return add


def problems(endpoint: InferenceEndpoint) -> list[str]:
    return list(endpoint.node.validate())


def test_base_models_share_its_role_and_have_names_of_their_own(stack: cdk.Stack, add: AddBase) -> None:
    llama, qwen = add(), add("Qwen", container=VllmContainer(version=VllmVersion.V2_6), copy_count=2)
    resources = Resources.of(stack)
    models = resources.of_type("AWS::SageMaker::Model").values()
    assert len(models) == 2
    role = {"Fn::GetAtt": [resources.id_of("AWS::IAM::Role"), "Arn"]}
    assert all(model["ExecutionRoleArn"] == role for model in models)
    components = resources.of_type("AWS::SageMaker::InferenceComponent").values()
    assert {each["InferenceComponentName"]: each["RuntimeConfig"]["CopyCount"] for each in components} == {
        llama.component_name: 1,
        qwen.component_name: 2,
    }
    assert llama.component_name.startswith("Stack-Endpoint-Llama")
    assert qwen.component_prefix.startswith("Stack-Endpoint-Qwen")


def test_base_model_with_the_largest_copies_is_created_first(stack: cdk.Stack, add: AddBase) -> None:
    """They find no room between small ones."""
    add()
    add("Qwen", compute=one_accelerator(3))
    resources = Resources.of(stack)
    small, large = resources.of_type("AWS::SageMaker::InferenceComponent")
    assert (large in resources[small]["DependsOn"], "Qwen" in large) == (True, True)


def test_a_number_of_instances_that_the_copies_of_all_do_not_need_is_an_error(
    stack: cdk.Stack, bucket: s3.IBucket
) -> None:
    endpoint = InferenceEndpoint(
        stack, "Endpoint", instance_type=InstanceType.ML_G5_12XLARGE, instance_count=2
    )
    container = LmiContainer(version=LmiVersion.V19)
    model, compute = BaseModel.from_bucket(bucket, "model/"), one_accelerator(4)
    first = endpoint.add_base_model("One", model=model, container=container, lora=LORA, compute=compute)
    first.auto_scale_copies(min=1, max=1)
    (problem,) = problems(endpoint)
    assert problem.startswith("'instance_count', the number of instances at the start, should be from 1 to 1")


def test_a_base_model_without_room_for_an_update_is_warned_of_when_all_are_known(
    endpoint: InferenceEndpoint, add: AddBase
) -> None:
    first = add(copy_count=2)
    assert not any("no-room" in text for text in warnings_of(first))
    add("Qwen", copy_count=2)
    problems(endpoint)
    assert any("2 of the 2 that fit on 1 x ml.g5.12xlarge" in text for text in warnings_of(first))


def test_a_base_model_that_needs_the_network_leaves_the_others_isolated(
    stack: cdk.Stack, add: AddBase
) -> None:
    add()
    add("Hub", model=BaseModel.from_hugging_face_hub("org/model"))
    resources = Resources.of(stack)
    isolated = {
        "Llama" in name: model.get("EnableNetworkIsolation")
        for name, model in resources.of_type("AWS::SageMaker::Model").items()
    }
    assert isolated == {True: True, False: None}
    assert "EnableNetworkIsolation" not in resources.only("AWS::SageMaker::EndpointConfig")


@pytest.mark.parametrize(
    ("id", "settings", "message"),
    [
        ("Role", {}, "'id' of a base model should be none of Config, Default, Policy, Resource, Role"),
        ("Llama", {"copy_count": 5}, "'copy_count' should be at most 4, as that many copies fit on 1 x"),
        (
            "Llama",
            {"compute": {InstanceType.ML_G5_XLARGE: one_accelerator()}},
            r"'compute' should be given for each type of the endpoint, ml\.g5\.12xlarge, got ml\.g5\.xlarge",
        ),
    ],
)
def test_what_cannot_be_is_an_error(add: AddBase, id: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        add(id, **settings)


def test_metrics_come_as_often_as_sagemaker_allows(stack: cdk.Stack) -> None:
    with pytest.raises(ValueError, match=r"'enhanced_metrics_period' should be one of 10, 30, .*, got 15"):
        InferenceEndpoint(
            stack,
            "Endpoint",
            instance_type=InstanceType.ML_G5_12XLARGE,
            enhanced_metrics_period=cdk.Duration.seconds(15),
        )


def test_another_path_gives_another_name_under_one_prefix(stack: cdk.Stack, add: AddBase) -> None:
    """CloudFormation creates the renamed one before it deletes the other."""
    assert add("Llama", component_prefix="acme").component_name != (
        add("Llama3", component_prefix="acme").component_name
    )


def test_a_base_model_of_another_stack_brings_its_own_policy(
    app: cdk.App, endpoint: InferenceEndpoint
) -> None:
    other = cdk.Stack(app, "Other")
    bucket = s3.Bucket(other, "Models")
    base = BaseComponent(other, "Llama", endpoint=endpoint, **described(bucket))
    base.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
    resources = Resources.of(other)
    (statement,) = [each for each in resources.statements() if each["Action"] == "s3:GetObject"]
    assert statement["Resource"]["Fn::Join"][1][0] == {
        "Fn::GetAtt": [resources.id_of("AWS::S3::Bucket"), "Arn"]
    }
    component = resources[resources.id_of("AWS::SageMaker::InferenceComponent")]
    assert component["DeletionPolicy"] == "Retain"
    assert resources.id_of("AWS::IAM::Policy") in component["DependsOn"]


def test_the_range_of_instances_is_that_of_the_endpoint_also_without_base_models(stack: cdk.Stack) -> None:
    InferenceEndpoint(
        stack,
        "Endpoint",
        instance_type=InstanceType.ML_G5_12XLARGE,
        instance_count=2,
        min_instances=2,
        max_instances=4,
        network_isolation=False,
    )
    half = InferenceEndpoint(cdk.Stack(), "Half", instance_type=InstanceType.ML_G5_12XLARGE, min_instances=1)
    assert problems(half) == [
        "'min_instances' should have 'max_instances' beside it where no copies scale, got None"
    ]
    config = Resources.of(stack).only("AWS::SageMaker::EndpointConfig")
    scaling = config["ProductionVariants"][0]["ManagedInstanceScaling"]
    assert (scaling["MinInstanceCount"], scaling["MaxInstanceCount"]) == (2, 4)
    assert "EnableNetworkIsolation" not in config


def test_the_other_noun_gets_a_hint(
    stack: cdk.Stack, endpoint: InferenceEndpoint, bucket: s3.IBucket, make_endpoint: MakeEndpoint
) -> None:
    given: Any = endpoint
    artifact = AdapterArtifact.from_uri("s3://models/a.tar.gz")
    with pytest.raises(
        ValueError, match=r"got one of InferenceEndpoint; its add_base_model\(…\) returns one"
    ):
        LoraAdapter(stack, "Ectsum", endpoint=given, artifact=artifact)
    given = make_endpoint()
    with pytest.raises(ValueError, match="got one of MultiAdapterEndpoint; its 'endpoint' is one"):
        BaseComponent(stack, "Qwen", endpoint=given, **described(bucket))


def test_a_base_model_runs_on_an_endpoint_of_another_app(stack: cdk.Stack, bucket: s3.IBucket) -> None:
    role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::123456789012:role/execution")
    endpoint = InferenceEndpoint.from_endpoint_attributes(
        stack, "Shared", endpoint_name="shared", instance_type=InstanceType.ML_G5_12XLARGE, role=role
    )
    sources = [ArtifactSource(bucket=bucket)]
    base = BaseComponent(stack, "Llama", endpoint=endpoint, **described(bucket, artifact_sources=sources))
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1")
    with pytest.raises(ValueError, match="'vpc' should be given with 'vpc_subnets' or 'security_groups'"):
        InferenceEndpoint.from_endpoint_attributes(
            stack,
            "Closed",
            endpoint_name="closed",
            instance_type=InstanceType.ML_G5_12XLARGE,
            role=role,
            security_groups=[group],
        )
    # How many instances there are, and what else is on them, is not known here.
    base.auto_scale_copies(min=0, max=40)
    base.add_adapter("Ectsum", artifact=AdapterArtifact.from_bucket(bucket, "ectsum.tar.gz"))
    components = Resources.of(stack).of_type("AWS::SageMaker::InferenceComponent").values()
    assert [each["EndpointName"] for each in components] == ["shared", "shared"]


def test_an_endpoint_with_one_base_model_is_both_in_one(make_endpoint: MakeEndpoint) -> None:
    short = make_endpoint()
    assert isinstance(short.endpoint, InferenceEndpoint)
    assert short.endpoint.node.addr == short.node.addr
    assert short.node.default_child is short.endpoint.node.default_child
    with pytest.raises(ValueError, match=r"'id' of an adapter should be none of .*, Default, Model"):
        short.add_adapter("Default", artifact=AdapterArtifact.from_uri("s3://models/a.tar.gz"))


def test_no_id_stands_twice_on_an_endpoint_and_its_first_base_model(
    bucket: s3.IBucket, make_endpoint: MakeEndpoint
) -> None:
    """Their logical ids leave out what is between them."""
    short = make_endpoint()
    settings = described(bucket, compute=one_accelerator(4))
    for taken in ("Base", "Ectsum"):
        short.node.try_find_child(taken) or cdk.CfnOutput(short, taken, value="")
        with pytest.raises(ValueError, match=f"a base model should have an id of its own, got {taken!r}"):
            short.endpoint.add_base_model(taken, **settings)
    cdk.CfnOutput(short.endpoint, "Qwen", value="")
    with pytest.raises(ValueError, match="an adapter should have an id of its own, got 'Qwen'"):
        short.add_adapter("Qwen", artifact=AdapterArtifact.from_uri("s3://models/a.tar.gz"))
