"""The copies that Application Auto Scaling reads and changes, and the alarms of target tracking."""

from collections.abc import Mapping
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import cloudwatch
from ministack.services.cloudformation import provisioners

from local_sagemaker.autoscaling.records import Capacity
from local_sagemaker.control_plane.component import BaseComponent
from local_sagemaker.control_plane.control_plane import SageMakerControlPlane


class ScaledComponents:
    """The base components of a control plane."""

    def __init__(self, plane: SageMakerControlPlane):
        self._plane = plane

    def capacity(self, name: str) -> Capacity | None:
        """The copies of a base component by name, None if there is none."""
        component = self._plane.components.find(name)
        if not isinstance(component, BaseComponent):
            return None
        return Capacity(
            component.requested_copies,
            len(component.running_copies),
            component.state.in_transition,
            component.failure_reason,
        )

    def set_capacity(self, name: str, count: int) -> None:
        """Ask for another number of copies as any caller does; ApiError if SageMaker refuses."""
        request = {"InferenceComponentName": name, "DesiredRuntimeConfig": {"CopyCount": count}}
        self._plane.call("UpdateInferenceComponentRuntimeConfig", request)

    def service_role(self) -> str:
        """[V user guide] The ARN of the service-linked role."""
        return (
            f"arn:aws:iam::{self._plane.context.account}:role/aws-service-role/"
            "sagemaker.application-autoscaling.amazonaws.com/"
            "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
        )


class TrackingAlarms:
    """The alarms of target tracking in ministack's CloudWatch, for one account and region."""

    def __init__(self, account: str, region: str):
        self._scope = account, region

    def put(self, name: str, alarm: Mapping[str, Any], action: str) -> str:
        """Put an alarm with one action and return its ARN."""
        properties = {
            **alarm,
            # [T] The words that the service's own alarms have.
            "AlarmDescription": f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {action}.",
            "AlarmActions": [action],
        }
        with request_scope(*self._scope):
            record = provisioners._cw_metric_alarm_record(name, properties)
            cloudwatch.cloudformation_put_metric_alarm(record)
        arn: str = record["AlarmArn"]
        return arn

    def rings(self, name: str) -> bool:
        """Whether an alarm is in ALARM."""
        with request_scope(*self._scope):
            alarm = cloudwatch._alarms.get(name)
        return alarm is not None and alarm["StateValue"] == "ALARM"

    def delete(self, name: str) -> None:
        """Delete an alarm, if it is there."""
        with request_scope(*self._scope):
            cloudwatch.cloudformation_delete_metric_alarm(name)
