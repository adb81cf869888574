"""Instance pools, reservations, caching and data capture of an endpoint."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Match, Template

from multi_adapter_inference import (
    CaptureMode,
    ComputeRequirements,
    DataCapture,
    InstancePool,
    InstanceType,
    StartupTimeouts,
)
from tests.constructs.conftest import Components, MakeEndpoint

PLAN = "arn:aws:sagemaker:us-east-1:111122223333:training-plan/llm"
ONE = ComputeRequirements(accelerators=1, min_memory=cdk.Size.gibibytes(16))
FURTHER = InstancePool(instance_type=InstanceType.ML_G6E_XLARGE, compute=ONE)


def variant(stack: cdk.Stack) -> dict[str, Any]:
    (config,) = Template.from_stack(stack).find_resources("AWS::SageMaker::EndpointConfig").values()
    (found,) = config["Properties"]["ProductionVariants"]
    return dict(found)


def test_pools_replace_the_instance_type_in_their_order(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, components: Components
) -> None:
    endpoint = make_endpoint(
        instance_pools=[InstancePool(instance_type=InstanceType.ML_G6_12XLARGE)],
        startup=StartupTimeouts(instance_provision=cdk.Duration.minutes(20)),
    )
    found = variant(stack)
    assert "InstanceType" not in found
    assert found["InstancePools"] == [
        {"InstanceType": "ml.g5.12xlarge", "Priority": 1},
        {"InstanceType": "ml.g6.12xlarge", "Priority": 2},
    ]
    assert found["VariantInstanceProvisionTimeoutInSeconds"] == 1200
    base = components()[endpoint.base_component_name]["Properties"]
    # One specification is for every type, and a limit of instances is none of copies.
    assert "Specifications" not in base
    assert "StartupParameters" not in base["Specification"]


def test_each_pool_may_have_a_specification_of_its_own(
    make_endpoint: MakeEndpoint, components: Components
) -> None:
    endpoint = make_endpoint(instance_pools=[FURTHER], data_caching=True)
    base = components()[endpoint.base_component_name]["Properties"]
    assert "Specification" not in base
    model = base["Specifications"][0]["ModelName"]
    assert base["Specifications"] == [
        {
            "InstanceType": name,
            "ModelName": model,
            "ComputeResourceRequirements": {
                "MinMemoryRequiredInMb": memory,
                "NumberOfAcceleratorDevicesRequired": accelerators,
            },
            "DataCacheConfig": {"EnableCaching": True},
        }
        for name, memory, accelerators in (("ml.g5.12xlarge", 32000, 4), ("ml.g6e.xlarge", 16384, 1))
    ]


def test_a_pool_whose_copies_take_the_same_has_no_specification_of_its_own(
    make_endpoint: MakeEndpoint, components: Components
) -> None:
    def compute() -> ComputeRequirements:
        return ComputeRequirements(accelerators=4, min_memory=cdk.Size.gibibytes(16))

    pool = InstancePool(instance_type=InstanceType.ML_G6_12XLARGE, compute=compute())
    endpoint = make_endpoint(compute=compute(), instance_pools=[pool])
    assert "Specifications" not in components()[endpoint.base_component_name]["Properties"]


def test_copies_have_to_fit_on_every_pool(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(ValueError, match=r"'accelerators' should be at most 1, as ml\.g6e\.xlarge has 1"):
        make_endpoint(instance_pools=[InstancePool(instance_type=InstanceType.ML_G6E_XLARGE)])
    with pytest.raises(ValueError, match=r"'copy_count' should be at most 1, .* 1 x ml\.g6e\.xlarge"):
        make_endpoint(id="Two", compute=ONE, copy_count=2, instance_pools=[FURTHER])


def test_scaled_copies_have_to_fit_on_every_pool(make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint(compute=ONE, instance_pools=[FURTHER])
    with pytest.raises(ValueError, match="'max' should be at most 2"):
        endpoint.auto_scale_copies(min=1, max=3, max_instances=2)


def test_caching_is_of_the_base(make_endpoint: MakeEndpoint, components: Components) -> None:
    endpoint = make_endpoint(data_caching=False)
    specification = components()[endpoint.base_component_name]["Properties"]["Specification"]
    assert specification["DataCacheConfig"] == {"EnableCaching": False}


def test_instances_start_in_their_reservation_only(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(capacity_reservation_arn=PLAN)
    assert variant(stack)["CapacityReservationConfig"] == {
        "CapacityReservationPreference": "capacity-reservations-only",
        "MlReservationArn": PLAN,
    }


def test_captured_data_goes_where_the_role_may_write(
    stack: cdk.Stack, bucket: s3.IBucket, make_endpoint: MakeEndpoint
) -> None:
    key = kms.Key(stack, "CaptureKey")
    make_endpoint(
        data_capture=DataCapture(
            bucket=bucket,
            prefix="captured",
            sampling_percent=5,
            encryption_key=key,
        )
    )
    template = Template.from_stack(stack)
    key_arn = stack.resolve(key.key_arn)
    template.has_resource_properties(
        "AWS::SageMaker::EndpointConfig",
        {
            "DataCaptureConfig": {
                "EnableCapture": True,
                "InitialSamplingPercentage": 5,
                "DestinationS3Uri": "s3://models/captured/",
                "KmsKeyId": key_arn,
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
                "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
            }
        },
    )
    allowed = str(template.find_resources("AWS::IAM::Policy"))
    assert "s3:PutObject" in allowed
    assert ":s3:::models/captured/*" in allowed
    assert "kms:GenerateDataKey" in allowed


def test_one_side_alone_may_be_captured(
    stack: cdk.Stack, bucket: s3.IBucket, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint(data_capture=DataCapture(bucket=bucket, sampling_percent=100, mode=CaptureMode.INPUT))
    Template.from_stack(stack).has_resource_properties(
        "AWS::SageMaker::EndpointConfig",
        {
            "DataCaptureConfig": Match.object_like(
                {"CaptureOptions": [{"CaptureMode": "Input"}], "DestinationS3Uri": "s3://models/"}
            )
        },
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"instance_pools": [InstancePool(instance_type=InstanceType.ML_G5_12XLARGE)]},
            "a type of its own, other than 'instance_type', got ml.g5.12xlarge twice",
        ),
        (
            {"instance_pools": [FURTHER], "capacity_reservation_arn": PLAN},
            "'instance_pools' should be left out with 'capacity_reservation_arn'",
        ),
        ({"capacity_reservation_arn": "llm"}, "'capacity_reservation_arn' should be one such as"),
        ({"instance_pools": [FURTHER] * 5}, "'instance_pools' should be at most 4, got 5"),
    ],
)
def test_what_contradicts_itself_is_an_error(
    make_endpoint: MakeEndpoint, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_endpoint(**settings)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda bucket: DataCapture(bucket=bucket, sampling_percent=1, prefix="/captured"),
            "^DataCapture: 'prefix' should not start with '/', got '/captured'",
        ),
        (
            lambda bucket: DataCapture(bucket=bucket, sampling_percent=101),
            "'sampling_percent' should be at most 100, got 101",
        ),
        (
            lambda _: StartupTimeouts(instance_provision=cdk.Duration.minutes(4)),
            "'instance_provision' should be between 300 and 3600 seconds, got 240",
        ),
    ],
)
def test_a_record_refuses_what_cannot_be(
    bucket: s3.IBucket, make: Callable[[s3.IBucket], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(bucket)
