"""Endpoints and adapters that use every argument that sets a property, with a value of its own for each."""

import json
import tempfile
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from multi_adapter_inference import (
    AdapterArtifact,
    ArtifactSource,
    BaseModel,
    BatchSize,
    ComputeRequirements,
    InferenceEndpoint,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
    PlacementStrategy,
    RoutingStrategy,
    StartupTimeouts,
)

ROLE = "arn:aws:iam::111122223333:role/llm"
KEY = "arn:aws:kms:us-east-1:111122223333:key/12345678-90ab-cdef-1234-567890abcdef"
PLAN = "arn:aws:sagemaker:us-east-1:111122223333:training-plan/llm"
BASE = Path(__file__).parents[2] / "examples" / "tickets" / "base"


def everything() -> dict[str, Any]:
    """The template. What excludes each other is on different endpoints."""
    app = cdk.App(outdir=tempfile.mkdtemp())
    stack = cdk.Stack(app, "Everything")
    cdk.Tags.of(stack).add("team", "llm")
    _reserved(stack)
    _pooled(stack)
    return json.loads(json.dumps(Template.from_stack(stack).to_json()))  # type: ignore[no-any-return]


def _reserved(stack: cdk.Stack) -> None:
    """One instance type, a network, a key, and a base model in a bucket."""
    bucket = s3.Bucket.from_bucket_name(stack, "Models", "models")
    vpc = ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id="vpc-0a1b2c3d",
        availability_zones=["any"],
        private_subnet_ids=["subnet-1a1b2c3d"],
        public_subnet_ids=["subnet-0a1b2c3d"],
    )
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-0a1b2c3d", mutable=False)
    endpoint = MultiAdapterEndpoint(
        stack,
        "Reserved",
        base_model=BaseModel.from_bucket(bucket, "base/"),
        container=LmiContainer(version=LmiVersion.V19, environment={"OPTION_DTYPE": "bf16"}),
        lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
        instance_type=InstanceType.of("ml.p3.16xlarge", accelerators=8, local_storage=False),
        instance_count=6,
        capacity_reservation_arn=PLAN,
        compute=ComputeRequirements(
            accelerators=2,
            cpu_cores=3,
            min_memory=cdk.Size.mebibytes(1001),
            max_memory=cdk.Size.mebibytes(1002),
        ),
        copy_count=7,
        startup=StartupTimeouts(
            model_download=cdk.Duration.seconds(601),
            container_health_check=cdk.Duration.seconds(602),
            instance_provision=cdk.Duration.seconds(603),
        ),
        data_caching=True,
        routing_strategy=RoutingStrategy.RANDOM,
        artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
        base_component_name="everything-base",
        role=iam.Role.from_role_arn(stack, "Given", ROLE),
        vpc=vpc,
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
        security_groups=[group],
        network_isolation=True,
        encryption_key=kms.Key.from_key_arn(stack, "Key", KEY),
        inference_ami_version="al2-ami-sagemaker-inference-gpu-3-1",
    )
    endpoint.roll_updates(
        batch_size=BatchSize.percent(21),
        wait=cdk.Duration.seconds(122),
        max_server_errors=23,
        alarms=[cloudwatch.Alarm.from_alarm_name(stack, "Own", "own")],
    )
    archive = f"adapters/sha256-{'1' * 64}.tar.gz"
    endpoint.add_adapter("One", artifact=AdapterArtifact.from_bucket(bucket, archive))


def _pooled(stack: cdk.Stack) -> None:
    """Two instance types, scaling, and a base model in a directory."""
    large, small = InstanceType.ML_G5_12XLARGE, InstanceType.ML_G6E_XLARGE
    endpoint = InferenceEndpoint(
        stack,
        "Pooled",
        instance_type=large,
        fallback_instance_types=[small],
        instance_count=5,
        max_instances=8,
        enhanced_metrics_period=cdk.Duration.seconds(30),
    )
    base = endpoint.add_base_model(
        "Base",
        model=BaseModel.from_directory(Path(BASE)),
        container=LmiContainer(version=LmiVersion.V19),
        lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
        compute={
            large: ComputeRequirements(accelerators=4, min_memory=cdk.Size.mebibytes(1003)),
            small: ComputeRequirements(
                accelerators=1,
                cpu_cores=2,
                min_memory=cdk.Size.mebibytes(1004),
                max_memory=cdk.Size.mebibytes(1005),
            ),
        },
        copy_count=4,
        component_prefix="pooled",
        startup=StartupTimeouts(
            model_download=cdk.Duration.seconds(604), container_health_check=cdk.Duration.seconds(605)
        ),
        data_caching=False,
        placement_strategy=PlacementStrategy.SPREAD,
    )
    base.auto_scale_copies(min=3, max=7)
    endpoint.add_base_model(
        "Same",
        model=BaseModel.from_directory(Path(BASE)),
        container=LmiContainer(version=LmiVersion.V19),
        lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
        compute=ComputeRequirements(accelerators=1, min_memory=cdk.Size.mebibytes(1003)),
        placement_strategy=PlacementStrategy.BINPACK,
    )
