"""Targets and policies of templates, on the running cloud."""

from typing import Any

import pytest

from tests.local.conftest import Client
from tests.local.stacks import Bucket, Stack, serving

SCOPE = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
}
METRIC = "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"


@pytest.fixture
def autoscaling(client: Client) -> Any:
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
    resource, track = f"inference-component/{stack.name}-base", f"{stack.name}-track"

    def listed(kind: str, **filters: Any) -> list[dict[str, Any]]:
        answer = getattr(autoscaling, f"describe_{kind}")(ServiceNamespace="sagemaker", **filters)
        return list(answer["".join(word.title() for word in kind.split("_"))])

    def found() -> tuple[Any, Any, Any]:
        return (
            [
                (one["MinCapacity"], one["MaxCapacity"])
                for one in listed("scalable_targets", ResourceIds=[resource])
            ],
            {
                one["PolicyARN"]: one["TargetTrackingScalingPolicyConfiguration"]["TargetValue"]
                for one in listed("scaling_policies", ResourceId=resource)
            },
            [one["ScalableTargetAction"] for one in listed("scheduled_actions", ResourceId=resource)],
        )

    assert stack.create(scaled(stack, bucket)) == "CREATE_COMPLETE", stack.why_failed()
    assert stack.physical_id("Target") == f"{resource}|{SCOPE['ScalableDimension']}|sagemaker"
    policy = stack.physical_id("Track")
    assert policy.endswith(f":policyName/{track}")
    assert found() == ([(0, 3)], {policy: 4}, [{"MinCapacity": 0}])
    changed = scaled(stack, bucket, most="5", target="8")
    del changed["Target"]["Properties"]["ScheduledActions"]
    assert stack.update(changed) == "UPDATE_COMPLETE", stack.why_failed()
    assert found() == ([(0, 5)], {policy: 8}, [])
    stack.delete()
    assert found() == ([], {}, [])


def test_target_of_a_component_that_is_not_there_fails(stack: Stack) -> None:
    properties = {**SCOPE, "ResourceId": "inference-component/nobody", "MinCapacity": 0, "MaxCapacity": 1}
    resources = {"Target": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": properties}}
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "doesn't exist: inference-component/nobody" in stack.reasons("CREATE_FAILED")[0]
