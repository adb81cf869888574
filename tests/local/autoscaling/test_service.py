"""What the API accepts, refuses and lists."""

from typing import Any

import pytest

from local_sagemaker.errors import ApiError
from tests.local.autoscaling.scaled import BASE, Scaled, scaled

OF_VARIANTS = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}


@pytest.fixture
def world() -> Scaled:
    return scaled()


def refusal(world: Scaled, operation: str, **request: Any) -> tuple[str, str]:
    with pytest.raises(ApiError) as refused:
        world.call(operation, **request)
    return refused.value.code, refused.value.message


def test_target_registered_again_keeps_what_is_not_given(world: Scaled) -> None:
    before = world.call("DescribeScalableTargets", ServiceNamespace="sagemaker")["ScalableTargets"][0]
    bounds = before["MinCapacity"], before["MaxCapacity"]
    assert (before["ResourceId"], bounds) == (BASE["ResourceId"], (0, 4))
    world.call("RegisterScalableTarget", **BASE, MaxCapacity=9)
    after = world.call("DescribeScalableTargets", ServiceNamespace="sagemaker")["ScalableTargets"][0]
    assert after == before | {"MaxCapacity": 9}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ResourceId": "inference-component/nobody"}, "doesn't exist: inference-component/nobody"),
        ({"ResourceId": "base"}, "should be inference-component/NAME"),
        ({"MinCapacity": 5}, "cannot be less than minimum capacity"),
        ({"SuspendedState": {"DynamicScalingInSuspended": True}}, "suspends no scaling"),
        ({"ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}, "ManagedInstanceScaling"),
        ({"ServiceNamespace": "ecs"}, "scales sagemaker only, got ecs"),
        ({"ServiceNamespace": "nonsense"}, "must satisfy enum value set"),
        ({"MaxCapacity": None}, "MaxCapacity should be given"),
    ],
)
def test_wrong_target_is_refused(changes: dict[str, Any], message: str) -> None:
    request = {**BASE, "MinCapacity": 0, "MaxCapacity": 4} | changes
    code, text = refusal(Scaled(), "RegisterScalableTarget", **request)
    assert code == "ValidationException"
    assert message in text


def test_wrong_schedule_is_refused(world: Scaled) -> None:
    with pytest.raises(ApiError, match="Invalid schedule expression: daily"):
        world.schedule("daily", MinCapacity=1)
    with pytest.raises(ApiError, match="cannot be less than minimum"):
        world.schedule("rate(1 day)", MinCapacity=3, MaxCapacity=2)


def test_policy_needs_a_target() -> None:
    with pytest.raises(ApiError, match="No scalable target registered") as refused:
        Scaled().track()
    assert refused.value.code == "ObjectNotFoundException"


def test_tracking_policy_has_its_alarms_under_the_services_names(world: Scaled) -> None:
    answer = world.track()
    names = [alarm["AlarmName"] for alarm in answer["Alarms"]]
    assert [name[:51] for name in names] == [
        "TargetTracking-inference-component/base-AlarmHigh-" + names[0][50],
        "TargetTracking-inference-component/base-AlarmLow-" + names[1][49:51],
    ]
    assert all(world.alarms.put_alarms[name]["AlarmActions"] == [answer["PolicyARN"]] for name in names)
    assert world.track(target=8) == answer
    assert world.alarms.put_alarms[names[0]]["Threshold"] == 8
    # It does not remove copies any more.
    assert [alarm["AlarmName"] for alarm in world.track(DisableScaleIn=True)["Alarms"]] == names[:1]
    assert list(world.alarms.put_alarms) == names[:1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PredefinedMetricSpecification": None}, "Exactly one of PredefinedMetricSpecification"),
        ({"TargetValue": 0}, "TargetValue should be above 0"),
        ({"TargetValue": 1, "PredefinedMetricSpecification": OF_VARIANTS}, "is not a metric of"),
    ],
)
def test_wrong_tracking_policy_is_refused(world: Scaled, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        world.track(**changes)


def test_deleted_policy_takes_its_alarms_along(world: Scaled) -> None:
    world.track()
    world.call("DeleteScalingPolicy", **BASE, PolicyName="track")
    assert world.alarms.put_alarms == {}
    code, message = refusal(world, "DeleteScalingPolicy", **BASE, PolicyName="track")
    assert (code, "No scaling policy found" in message) == ("ObjectNotFoundException", True)


def test_deregistered_target_takes_everything_along(world: Scaled) -> None:
    world.track()
    world.schedule("rate(1 day)", MinCapacity=1)
    world.call("DeregisterScalableTarget", **BASE)
    assert world.alarms.put_alarms == {}
    for operation, member in (
        ("DescribeScalableTargets", "ScalableTargets"),
        ("DescribeScalingPolicies", "ScalingPolicies"),
        ("DescribeScheduledActions", "ScheduledActions"),
    ):
        assert world.call(operation, ServiceNamespace="sagemaker")[member] == []
    assert refusal(world, "DeregisterScalableTarget", **BASE)[0] == "ObjectNotFoundException"


def test_listing_comes_in_pages(world: Scaled) -> None:
    for name in ("a", "b", "c"):
        world.track(name)
    first = world.call("DescribeScalingPolicies", ServiceNamespace="sagemaker", MaxResults=2)
    rest = world.call(
        "DescribeScalingPolicies", ServiceNamespace="sagemaker", MaxResults=2, NextToken=first["NextToken"]
    )
    names = [policy["PolicyName"] for page in (first, rest) for policy in page["ScalingPolicies"]]
    assert (names, "NextToken" in rest) == (["a", "b", "c"], False)
