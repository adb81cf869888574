"""Application Auto Scaling where IAM is enforced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError


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
