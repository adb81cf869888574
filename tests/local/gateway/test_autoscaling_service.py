"""Application Auto Scaling where IAM is enforced."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.gateway.autoscaling_service import resource_arn

PLACE = {"region": "us-east-1", "account": "000000000000"}


def test_caller_needs_the_action(user: Callable[..., Callable[[str], Any]]) -> None:
    allowed = {
        "Effect": "Allow",
        "Action": "application-autoscaling:DescribeScalableTargets",
        "Resource": "*",
    }
    client = user(allowed)("application-autoscaling")
    assert client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    with pytest.raises(ClientError, match="AccessDenied"):
        client.describe_scaling_policies(ServiceNamespace="sagemaker")


SCALED = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "inference-component/base",
    "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
}


@pytest.mark.parametrize("call", ["RegisterScalableTarget", "PutScalingPolicy"])
def test_resource_of_a_change_is_the_scalable_target(call: str) -> None:
    arn = resource_arn(f"AnyScaleFrontendService.{call}", json.dumps(SCALED).encode(), **PLACE)
    assert re.fullmatch(
        "arn:aws:application-autoscaling:us-east-1:000000000000:scalable-target/[0-9a-f]{32}", arn
    )


def test_resource_of_tags_is_the_one_that_they_are_on() -> None:
    body = json.dumps({"ResourceARN": "arn:target"}).encode()
    assert resource_arn("AnyScaleFrontendService.TagResource", body, **PLACE) == "arn:target"


def test_descriptions_have_no_resource() -> None:
    body = json.dumps(SCALED).encode()
    assert resource_arn("AnyScaleFrontendService.DescribeScalingActivities", body, **PLACE) == "*"


def test_caller_may_be_allowed_the_targets_of_another_region_alone(
    user: Callable[..., Callable[[str], Any]],
) -> None:
    def register(region: str) -> str:
        arn = f"arn:aws:application-autoscaling:{region}:000000000000:scalable-target/*"
        allowed = {"Effect": "Allow", "Action": "application-autoscaling:*", "Resource": arn}
        with pytest.raises(ClientError) as refused:
            user(allowed)("application-autoscaling").register_scalable_target(
                **SCALED, MinCapacity=1, MaxCapacity=2
            )
        return str(refused.value)

    assert "AccessDenied" in register("eu-west-1")
    assert "Inference component doesn't exist" in register("us-east-1")


def test_unknown_operation_is_refused(client: Callable[..., Any]) -> None:
    with pytest.raises(ClientError, match="does not know GetPredictiveScalingForecast"):
        client("application-autoscaling").get_predictive_scaling_forecast(
            ServiceNamespace="sagemaker",
            ResourceId="inference-component/base",
            ScalableDimension="sagemaker:inference-component:DesiredCopyCount",
            PolicyName="p",
            StartTime=0,
            EndTime=1,
        )
