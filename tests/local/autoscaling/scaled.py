"""Application Auto Scaling on components and alarms in memory, with a clock that only tests move."""

from collections.abc import Mapping
from typing import Any

from botocore.validate import ParamValidator

from local_sagemaker.autoscaling.records import COPIES, Capacity
from local_sagemaker.autoscaling.scaled_components import ScaledComponents, TrackingAlarms
from local_sagemaker.autoscaling.service import SERVICE, AutoScaling
from local_sagemaker.control_plane.request_validation import operation_model
from local_sagemaker.errors import validation_exception
from local_sagemaker.settings import CurrentSettings, Settings

SCOPE = {"ServiceNamespace": "sagemaker", "ScalableDimension": COPIES}
BASE = {**SCOPE, "ResourceId": "inference-component/base"}
FINE = "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"
PER_MINUTE = "SageMakerInferenceComponentInvocationsPerCopy"


class FakeComponents(ScaledComponents):
    """Components whose changes end when a test says so."""

    def __init__(self, **copies: int) -> None:
        self.copies = copies
        self.changing: set[str] = set()
        self.failure: str | None = None
        self.locked = False

    def capacity(self, name: str) -> Capacity | None:
        if name not in self.copies:
            return None
        return Capacity(self.copies[name], self.copies[name], name in self.changing, self.failure)

    def set_capacity(self, name: str, count: int) -> None:
        if self.locked:
            raise validation_exception("Cannot update while it is in state UPDATE_RC_IN_PROGRESS.")
        self.copies[name] = count
        self.changing.add(name)

    def service_role(self) -> str:
        return "arn:aws:iam::111122223333:role/service"


class FakeAlarms(TrackingAlarms):
    """Alarms of target tracking; ringing are the names of those in ALARM."""

    def __init__(self) -> None:
        self.put_alarms: dict[str, dict[str, Any]] = {}
        self.ringing: set[str] = set()

    def put(self, name: str, alarm: Mapping[str, Any], action: str) -> str:
        self.put_alarms[name] = {**alarm, "AlarmName": name, "AlarmActions": [action]}
        return f"arn:{name}"

    def rings(self, name: str) -> bool:
        return name in self.ringing

    def delete(self, name: str) -> None:
        del self.put_alarms[name]


class Scaled:
    """An account with one base of two copies; every answer is checked against its operation's shape."""

    def __init__(self, copies: int = 2, scale: float = 1.0) -> None:
        self.now = 1_000_000.0
        self.components = FakeComponents(base=copies)
        self.alarms = FakeAlarms()
        self.service = AutoScaling(
            account="111122223333",
            region="us-east-1",
            scalable=self.components,
            alarms=self.alarms,
            clock=lambda: self.now,
            settings=CurrentSettings(Settings(time_scale=scale)),
        )

    @property
    def copies(self) -> int:
        return self.components.copies["base"]

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        answer = self.service.call(operation, request)
        shape = operation_model(operation, SERVICE).output_shape
        if shape is not None:
            report = ParamValidator().validate(answer, shape)
            assert not report.has_errors(), report.generate_report()
        return answer

    def track(
        self, name: str = "track", metric: str = FINE, target: float = 4, **more: Any
    ) -> dict[str, Any]:
        configuration = {
            "TargetValue": target,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
            **more,
        }
        return self.call(
            "PutScalingPolicy",
            **BASE,
            PolicyName=name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=configuration,
        )

    def step(self, adjustment: int = 1, more: int | None = None, **members: Any) -> str:
        """Put a step policy; `more` is its adjustment from 5 above the threshold on."""
        steps = [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": adjustment}]
        if more is not None:
            steps[0]["MetricIntervalUpperBound"] = 5
            steps.append({"MetricIntervalLowerBound": 5, "ScalingAdjustment": more})
        answer = self.call(
            "PutScalingPolicy",
            **BASE,
            PolicyName="step",
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration={
                "AdjustmentType": "ChangeInCapacity",
                "StepAdjustments": steps,
                **members,
            },
        )
        return str(answer["PolicyARN"])

    def schedule(self, expression: str, **action: int) -> None:
        """Schedule an action that changes bounds."""
        request = {**BASE, "ScheduledActionName": "night", "Schedule": expression}
        self.call("PutScheduledAction", **request, ScalableTargetAction=action)

    def ring(self, policy: str, value: float) -> None:
        """Let an alarm ring that invokes a policy."""
        self.service.alarmed(policy, {"AlarmName": "alarm", "Threshold": 1}, value)

    def settle(self) -> None:
        """Let the change in progress end."""
        self.components.changing.clear()
        self.service.tick()

    def activities(self) -> list[dict[str, Any]]:
        answer = self.call("DescribeScalingActivities", ServiceNamespace="sagemaker")
        return list(answer["ScalingActivities"])


def scaled(copies: int = 2, *, least: int = 0, most: int = 4, scale: float = 1.0) -> Scaled:
    """An account whose base is registered with bounds."""
    world = Scaled(copies, scale)
    world.call("RegisterScalableTarget", **BASE, MinCapacity=least, MaxCapacity=most)
    return world
