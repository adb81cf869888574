"""Instance pools and reservations of an endpoint. `test_properties.py` has what each one sets."""

from typing import Any

import aws_cdk as cdk
import pytest

from multi_adapter_inference import ComputeRequirements, InstancePool, InstanceType
from tests.constructs.conftest import MakeEndpoint
from tests.constructs.resources import Resources

PLAN = "arn:aws:sagemaker:us-east-1:111122223333:training-plan/llm"


def one(accelerators: int = 1) -> ComputeRequirements:
    return ComputeRequirements(accelerators=accelerators, min_memory=cdk.Size.gibibytes(16))


FURTHER = InstancePool(instance_type=InstanceType.ML_G6E_XLARGE, compute=one())


@pytest.mark.parametrize(
    ("compute", "alike"), [(None, True), (one(4), True), (one(2), False)], ids=["left out", "same", "other"]
)
def test_pools_have_a_specification_of_their_own_only_where_copies_take_something_else(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, compute: ComputeRequirements | None, *, alike: bool
) -> None:
    further = InstancePool(instance_type=InstanceType.ML_G6_12XLARGE, compute=compute)
    make_endpoint(compute=one(4), instance_pools=[further])
    base = Resources.of(stack).only("AWS::SageMaker::InferenceComponent")
    assert ("Specification" in base, "Specifications" in base) == (alike, not alike)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"instance_pools": [InstancePool(instance_type=InstanceType.ML_G5_12XLARGE)]}, "got .* twice"),
        (
            {"instance_pools": [FURTHER], "capacity_reservation_arn": PLAN},
            "'instance_pools' should be left out",
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
