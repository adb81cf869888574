"""How the copies of a base model follow the load, and the instances follow the copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aws_cdk import Aws, Duration, TimeZone
from aws_cdk import aws_applicationautoscaling as appscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from constructs import Construct

from adapter_fleet.common.validators import check_whole_number
from adapter_rules.engines.scaling_metric import DEFAULT_CONCURRENT_REQUESTS, ScalingMetric
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.errors import error_context
from multi_adapter_inference.components.inference_component import IInferenceComponent

# Application Auto Scaling's user guide, "Service-linked roles". RegisterScalableTarget creates it.
_SERVICE_LINKED_ROLE = (
    f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/aws-service-role/"
    "sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
_COPIES = "sagemaker:inference-component:DesiredCopyCount"
# A query cannot compare the beginning of a name.
_FAILURES_OF_ANY = (
    'SELECT SUM(NoCapacityInvocationFailures) FROM SCHEMA("AWS/SageMaker", InferenceComponentName)'
)
_WAKE_PERIOD = Duration.minutes(1)

DEFAULT_WAKE_COOLDOWN = Duration.minutes(15)
"""One wake takes about 10 minutes: 1 for the alarm, 2 for an instance, the rest for the model."""


_PREDEFINED = {
    ScalingMetric.CONCURRENT_REQUESTS: (
        appscaling.PredefinedMetric.SAGEMAKER_INFERENCE_COMPONENT_CONCURRENT_REQUESTS_PER_COPY_HIGH_RESOLUTION
    ),
    ScalingMetric.INVOCATIONS: appscaling.PredefinedMetric.SAGEMAKER_INFERENCE_COMPONENT_INVOCATIONS_PER_COPY,
}


@checked
@dataclass(frozen=True, kw_only=True)
class ScalingTarget:
    """The load of one copy that scaling aims at. Made by one of its methods.

    Example::

        endpoint.auto_scale_copies(min=1, max=4, target=ScalingTarget.concurrent_requests(8))
    """

    metric: ScalingMetric
    value: float

    def __post_init__(self) -> None:
        if not self.value > 0:
            raise ValueError(f"'value' should be above 0, got {self.value:g}")

    @staticmethod
    def concurrent_requests(value: float) -> ScalingTarget:
        """Aim at this many requests in progress on each copy. It reacts within about a minute."""
        return ScalingTarget(metric=ScalingMetric.CONCURRENT_REQUESTS, value=value)

    @staticmethod
    def invocations(value: float) -> ScalingTarget:
        """Aim at this many requests a minute on each copy."""
        return ScalingTarget(metric=ScalingMetric.INVOCATIONS, value=value)


DEFAULT_TARGET = ScalingTarget.concurrent_requests(DEFAULT_CONCURRENT_REQUESTS)


@checked
class CopyScaling(Construct):
    """The scaling of a base model's copies. `auto_scale_copies` of an endpoint makes it.

    scalable_target:
        The target, for policies of your own.
    wake_alarms:
        The alarms that start the first copy; none unless `min` is 0.

    Example::

        scaling: CopyScaling = endpoint.auto_scale_copies(min=0, max=3)
        scaling.on_schedule("Morning", schedule=Schedule.cron(hour="7", minute="0"), min=1)
    """

    scalable_target: appscaling.ScalableTarget
    wake_alarms: Sequence[cloudwatch.Alarm]

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        component: IInferenceComponent,
        min: int,
        max: int,
        allow_most: Callable[[int], None],
        target: ScalingTarget,
        scale_in_cooldown: Duration | None,
        scale_out_cooldown: Duration | None,
        wake_cooldown: Duration,
        wake_for_adapters: bool,
    ) -> None:
        super().__init__(scope, id)
        self._min, self._max, self._allow_most = min, max, allow_most
        self._component = component
        self.scalable_target = appscaling.ScalableTarget(
            self,
            "Target",
            service_namespace=appscaling.ServiceNamespace.SAGEMAKER,
            resource_id=f"inference-component/{component.component_name}",
            scalable_dimension=_COPIES,
            min_capacity=min,
            max_capacity=max,
            role=iam.Role.from_role_arn(self, "Role", _SERVICE_LINKED_ROLE),
        )
        self.scalable_target.scale_to_track_metric(
            "Load",
            target_value=target.value,
            predefined_metric=_PREDEFINED[target.metric],
            scale_in_cooldown=scale_in_cooldown,
            scale_out_cooldown=scale_out_cooldown,
        )
        self.wake_alarms = self._wake(wake_cooldown, adapters=wake_for_adapters) if min == 0 else ()

    def on_schedule(
        self,
        id: str,
        *,
        schedule: appscaling.Schedule,
        min: int | None = None,
        max: int | None = None,
        time_zone: TimeZone | None = None,
    ) -> None:
        """Change the least and the most copies at certain times.

        schedule:
            When. Give `minute`: without it, a cron expression acts in every minute of the hour.
        min, max:
            The numbers from then on. Default: the ones before.
        time_zone:
            The time zone of a cron expression. Default: UTC.
        """
        with error_context(self):
            if min is None and max is None:
                raise ValueError("one of 'min', 'max' should be given, got none")
            if max is not None:
                self._check_most(max)
            if min is not None:
                self._check_least(min, self._max if max is None else max)
        self.scalable_target.scale_on_schedule(
            id,
            schedule=schedule,
            min_capacity=min,
            max_capacity=max,
            time_zone=time_zone,
        )

    def _check_least(self, least: int, most: int) -> None:
        check_whole_number("min", least, at_least=0)
        if least > most:
            raise ValueError(f"'min' should be at most 'max', {most}, got {least}")
        if least == 0 and self._min > 0:
            raise ValueError(
                "'min' should be at least 1, as nothing would start a copy again, got 0; give 'min=0' to"
                " auto_scale_copies"
            )

    def _check_most(self, most: int) -> None:
        check_whole_number("max", most, at_least=0 if self._min == 0 else 1)
        self._allow_most(most)

    def _wake(self, cooldown: Duration, *, adapters: bool) -> Sequence[cloudwatch.Alarm]:
        """Start a copy when a request fails because there is none.

        Target tracking cannot do it: no copy has a load. The policy adds a copy instead of setting the number
        to 1, as a failure while there are copies must never remove any.
        """
        policy = appscaling.StepScalingAction(
            self,
            "Wake",
            scaling_target=self.scalable_target,
            adjustment_type=appscaling.AdjustmentType.CHANGE_IN_CAPACITY,
            metric_aggregation_type=appscaling.MetricAggregationType.MAXIMUM,
            cooldown=cooldown,
        )
        policy.add_adjustment(adjustment=1, lower_bound=0)
        name = self._component.component_name
        of_base = self._component.metric_no_capacity(period=_WAKE_PERIOD)
        description = f"Requests find no copy of {name}; this starts one"
        alarms = [self._wake_alarm("NoCapacity", of_base, policy, description)]
        if adapters:
            failures = cloudwatch.MathExpression(
                expression=_FAILURES_OF_ANY,
                using_metrics={},
                label="requests to any component without a copy",
                period=_WAKE_PERIOD,
            )
            description = f"Requests to some component find no copy; this starts one of {name}"
            alarms.append(self._wake_alarm("NoCapacityOfAny", failures, policy, description))
        return alarms

    def _wake_alarm(
        self, id: str, failures: cloudwatch.IMetric, policy: appscaling.StepScalingAction, description: str
    ) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            id,
            metric=failures,
            alarm_description=description,
            # AWS's guide says above 1, which a single request would never reach.
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.ApplicationScalingAction(policy))
        return alarm
