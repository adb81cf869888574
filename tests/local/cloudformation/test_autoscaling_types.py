"""Targets and policies of templates, on the running cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.local.stacks import Bucket, Stack, serving

SCOPE = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
}
METRIC = "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"


@pytest.fixture
def autoscaling(client: Callable[..., Any]) -> Any:
    return client("application-autoscaling")


def scaled(stack: Stack, bucket: Bucket, most: str = "3", target: str = "4") -> dict[str, Any]:
    resource = f"inference-component/{stack.name}-base"
    schedule = {
        "ScheduledActionName": "night",
        "Schedule": "cron(0 22 * * ? *)",
        "ScalableTargetAction": {"MinCapacity": "0"},
    }
    return serving(stack.name, bucket, {}) | {
        "Target": {
            "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
            "DependsOn": "Base",
            "Properties": {
                **SCOPE,
                "ResourceId": resource,
                "MinCapacity": "0",
                "MaxCapacity": most,
                "ScheduledActions": [schedule],
            },
        },
        "Track": {
            "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
            "Properties": {
                "PolicyName": f"{stack.name}-track",
                "PolicyType": "TargetTrackingScaling",
                "ScalingTargetId": {"Ref": "Target"},
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": target,
                    "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
                },
            },
        },
    }


def test_target_and_policies_are_created_updated_and_deleted(
    stack: Stack, bucket: Bucket, autoscaling: Any
) -> None:
    assert stack.create(scaled(stack, bucket)) == "CREATE_COMPLETE", stack.why_failed()
    resource = f"inference-component/{stack.name}-base"
    assert stack.physical_id("Target") == f"{resource}|{SCOPE['ScalableDimension']}|sagemaker"

    def targets() -> list[dict[str, Any]]:
        answer = autoscaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])
        return list(answer["ScalableTargets"])

    def policies() -> dict[str, dict[str, Any]]:
        answer = autoscaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource)
        return {policy["PolicyName"]: policy for policy in answer["ScalingPolicies"]}

    assert (targets()[0]["MinCapacity"], targets()[0]["MaxCapacity"]) == (0, 3)
    assert list(policies()) == [f"{stack.name}-track"]
    assert stack.physical_id("Track") == policies()[f"{stack.name}-track"]["PolicyARN"]
    (action,) = autoscaling.describe_scheduled_actions(ServiceNamespace="sagemaker", ResourceId=resource)[
        "ScheduledActions"
    ]
    assert action["ScalableTargetAction"] == {"MinCapacity": 0}

    changed = scaled(stack, bucket, most="5", target="8")
    del changed["Target"]["Properties"]["ScheduledActions"]
    assert stack.update(changed) == "UPDATE_COMPLETE", stack.why_failed()
    assert targets()[0]["MaxCapacity"] == 5
    tracking = policies()[f"{stack.name}-track"]["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 8
    left = autoscaling.describe_scheduled_actions(ServiceNamespace="sagemaker", ResourceId=resource)
    assert left["ScheduledActions"] == []

    stack.delete()
    assert (targets(), policies()) == ([], {})


def test_target_of_a_component_that_is_not_there_fails(stack: Stack) -> None:
    properties = {**SCOPE, "ResourceId": "inference-component/nobody", "MinCapacity": 0, "MaxCapacity": 1}
    resources = {"Target": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": properties}}
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "doesn't exist: inference-component/nobody" in stack.reasons("CREATE_FAILED")[0]
