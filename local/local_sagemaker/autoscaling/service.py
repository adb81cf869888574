"""The API of Application Auto Scaling for one account and region, for the copies of inference components."""

import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from local_sagemaker.autoscaling.decisions import PREDEFINED, next_due, tracking_alarms
from local_sagemaker.autoscaling.records import COPIES, NAMESPACE, Activity, Policy, Schedule, Target
from local_sagemaker.autoscaling.scaled_components import ScaledComponents, TrackingAlarms
from local_sagemaker.autoscaling.scaler import Scaler
from local_sagemaker.control_plane.request_validation import check_request, without_nulls
from local_sagemaker.errors import ApiError, logged, validation_exception
from local_sagemaker.settings import CurrentSettings

SERVICE = "application-autoscaling"
_PAGE = 50


class AutoScaling:
    """All operations by name; `call` is the API, `alarmed` and `tick` make it act."""

    def __init__(
        self,
        *,
        account: str,
        region: str,
        scalable: ScaledComponents,
        alarms: TrackingAlarms,
        clock: Callable[[], float],
        settings: CurrentSettings,
    ):
        self._account = account
        self._region = region
        self._scalable = scalable
        self._alarms = alarms
        self._clock = clock
        self._settings = settings
        self._scaler = Scaler(scalable, clock, lambda: settings.value.time_scale)
        self._targets: dict[str, Target] = {}
        self._policies: dict[tuple[str, str], Policy] = {}
        self._schedules: dict[tuple[str, str], Schedule] = {}
        self._operations = {
            "RegisterScalableTarget": self._register,
            "DescribeScalableTargets": self._describe_targets,
            "DeregisterScalableTarget": self._deregister,
            "PutScalingPolicy": self._put_policy,
            "DescribeScalingPolicies": self._describe_policies,
            "DeleteScalingPolicy": self._delete_policy,
            "DescribeScalingActivities": self._describe_activities,
            "PutScheduledAction": self._put_schedule,
            "DescribeScheduledActions": self._describe_schedules,
            "DeleteScheduledAction": self._delete_schedule,
        }

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answer an API call; ApiError if it is refused."""
        if operation not in self._operations:
            raise ApiError("UnknownOperationException", f"The embedded cloud does not know {operation}.")
        check_request(operation, request, service=SERVICE)
        if "ServiceNamespace" in request and request["ServiceNamespace"] != NAMESPACE:
            raise validation_exception(
                f"The embedded cloud scales {NAMESPACE} only, got {request['ServiceNamespace']}."
            )
        return self._operations[operation](without_nulls(request))

    # --- what makes it act

    def alarmed(self, policy_arn: str, alarm: Mapping[str, Any], value: float | None) -> None:
        """Carry out the policy of an alarm's action."""
        policy = next((one for one in self._policies.values() if one.arn == policy_arn), None)
        target = None if policy is None else self._targets.get(policy.resource)
        if policy is None or target is None:
            return
        if policy.tracks:
            self._scaler.track(target, policy, alarm, value, agreed=self._agree(policy))
        else:
            self._scaler.step(target, policy, alarm, value)

    def _agree(self, policy: Policy) -> bool:
        return all(
            self._alarms.rings(other.alarms["Low"]["AlarmName"])
            for other in self._policies.values()
            if other is not policy and other.resource == policy.resource and "Low" in other.alarms
        )

    def tick(self) -> None:
        """Carry out the scheduled actions that are due, and follow the changes in progress."""
        self._scaler.follow()
        now = self._clock()
        for key, schedule in list(self._schedules.items()):
            with logged(f"scheduled action {schedule.name}"):
                if schedule.end is not None and now > schedule.end:
                    del self._schedules[key]
                    continue
                due = self._due(schedule)
                target = self._targets.get(schedule.resource)
                if due is None or due > now or target is None:
                    continue
                schedule.fired = now
                self._fire(target, schedule)
                if schedule.expression.startswith("at("):
                    # [V user guide] A one-time action is deleted once it has run.
                    del self._schedules[key]

    def _due(self, schedule: Schedule) -> float | None:
        after = max(schedule.fired, (schedule.start or 0.0) - 1)
        begin = schedule.created if schedule.start is None else schedule.start
        return next_due(schedule.expression, after, zone=schedule.timezone, start=begin)

    def _fire(self, target: Target, schedule: Schedule) -> None:
        target.minimum = schedule.action.get("MinCapacity", target.minimum)
        target.maximum = schedule.action.get("MaxCapacity", target.maximum)
        self._scaler.bring_in_bounds(target, f"scheduled action name {schedule.name} was triggered")

    # --- targets

    def _register(self, request: dict[str, Any]) -> dict[str, Any]:
        resource = self._resource(request)
        if any(request.get("SuspendedState", {}).values()):
            raise validation_exception("The embedded cloud suspends no scaling.")
        target = self._targets.get(resource)
        if target is None:
            missing = [member for member in ("MinCapacity", "MaxCapacity") if member not in request]
            if missing:
                # [V API reference] Both are required for a new target.
                raise validation_exception(f"{' and '.join(missing)} should be given for a new target.")
            if self._scalable.capacity(resource.partition("/")[2]) is None:
                # [I] No source has the words for components.
                raise validation_exception(f"Inference component doesn't exist: {resource}")
            target = Target(
                resource=resource,
                # [V service authorization reference] [I] The last part is random.
                arn=f"arn:aws:application-autoscaling:{self._region}:{self._account}:scalable-target/"
                f"{uuid.uuid4().hex}",
                minimum=request["MinCapacity"],
                maximum=request["MaxCapacity"],
                created=self._clock(),
            )
        minimum = request.get("MinCapacity", target.minimum)
        maximum = request.get("MaxCapacity", target.maximum)
        _check_bounds(minimum, maximum)
        target.minimum, target.maximum = minimum, maximum
        self._targets[resource] = target
        # [V API reference, RegisterScalableTarget] It brings the capacity into the range. [I] At once; what
        # somebody changes later stays until the next alarm.
        self._scaler.bring_in_bounds(target)
        return {"ScalableTargetARN": target.arn}

    def _resource(self, request: Mapping[str, Any]) -> str:
        dimension, resource = request["ScalableDimension"], str(request["ResourceId"])
        if dimension != COPIES:
            # [V user guide] With inference components, instances follow by managed instance scaling. [I] The
            # words.
            raise validation_exception(
                f"Unsupported scalable dimension: {dimension}. The instances of endpoints with inference "
                "components are scaled by ManagedInstanceScaling."
            )
        kind, _, name = resource.partition("/")
        if kind != "inference-component" or not name:
            raise validation_exception(
                f"Unsupported resource ID for {COPIES}: {resource}. It should be inference-component/NAME."
            )
        return resource

    def _target(self, request: Mapping[str, Any]) -> Target:
        resource = self._resource(request)
        if resource not in self._targets:
            # [T] The sentence as users quote it.
            raise _not_found(
                f"No scalable target registered for service namespace: {NAMESPACE}, resource ID: {resource}, "
                f"scalable dimension: {COPIES}"
            )
        return self._targets[resource]

    def _describe_targets(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request.get("ResourceIds") or list(self._targets)
        described = [
            {
                **_scope(target.resource),
                "MinCapacity": target.minimum,
                "MaxCapacity": target.maximum,
                "RoleARN": self._scalable.service_role(),
                "CreationTime": target.created,
                "ScalableTargetARN": target.arn,
            }
            for target in self._targets.values()
            if target.resource in wanted
        ]
        return _page(request, "ScalableTargets", described)

    def _deregister(self, request: dict[str, Any]) -> dict[str, Any]:
        target = self._target(request)
        # [V API reference] Its policies and scheduled actions go with it.
        for policy in [one for one in self._policies.values() if one.resource == target.resource]:
            self._drop(policy)
        for key in [key for key in self._schedules if key[0] == target.resource]:
            del self._schedules[key]
        del self._targets[target.resource]
        self._scaler.forget(target.resource)
        return {}

    # --- policies

    def _put_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        target, name = self._target(request), request["PolicyName"]
        before = self._policies.get((target.resource, name))
        kind = request.get("PolicyType") or (before.type if before else "StepScaling")
        policy = Policy(
            name=name,
            arn=before.arn if before else self._arn("scalingPolicy", target.resource, f"policyName/{name}"),
            resource=target.resource,
            type=kind,
            configuration=_configuration(request, kind),
            created=before.created if before else self._clock(),
        )
        if before is not None:
            if before.type != kind:
                raise validation_exception(f"The type of policy {name} cannot be changed from {before.type}.")
            policy.alarms = before.alarms
        if policy.tracks:
            self._put_alarms(policy)
        self._policies[target.resource, name] = policy
        return {"PolicyARN": policy.arn, "Alarms": list(policy.alarms.values())}

    def _put_alarms(self, policy: Policy) -> None:
        """Put the alarms of a policy that tracks under the names that the service gives them [T]."""
        present, policy.alarms = policy.alarms, {}
        periods = self._settings.value.scale_in_periods
        wanted = tracking_alarms(policy.configuration, policy.resource, scale_in_periods=periods)
        for kind, alarm in wanted.items():
            generated = f"TargetTracking-{policy.resource}-Alarm{kind}-{uuid.uuid4()}"
            name = present[kind]["AlarmName"] if kind in present else generated
            arn = self._alarms.put(name, alarm, policy.arn)
            policy.alarms[kind] = {"AlarmName": name, "AlarmARN": arn}
        for kind in present.keys() - policy.alarms.keys():
            self._alarms.delete(present[kind]["AlarmName"])

    def _drop(self, policy: Policy) -> None:
        for alarm in policy.alarms.values():
            self._alarms.delete(alarm["AlarmName"])
        del self._policies[policy.resource, policy.name]

    def _describe_policies(self, request: dict[str, Any]) -> dict[str, Any]:
        described = [
            {
                **_scope(policy.resource),
                "PolicyARN": policy.arn,
                "PolicyName": policy.name,
                "PolicyType": policy.type,
                f"{policy.type}PolicyConfiguration": policy.configuration,
                "Alarms": list(policy.alarms.values()),
                "CreationTime": policy.created,
            }
            for policy in self._policies.values()
            if policy.resource == request.get("ResourceId", policy.resource)
            and policy.name in request.get("PolicyNames", [policy.name])
        ]
        return _page(request, "ScalingPolicies", described)

    def _delete_policy(self, request: dict[str, Any]) -> dict[str, Any]:
        key = self._resource(request), request["PolicyName"]
        if key not in self._policies:
            raise _not_found(
                f"No scaling policy found for service namespace: {NAMESPACE}, resource ID: {key[0]}, "
                f"scalable dimension: {COPIES}, policy name: {key[1]}"
            )
        self._drop(self._policies[key])
        return {}

    # --- activities

    def _describe_activities(self, request: dict[str, Any]) -> dict[str, Any]:
        described = [
            _described(activity)
            for activity in self._scaler.activities
            if activity.resource == request.get("ResourceId", activity.resource)
        ]
        return _page(request, "ScalingActivities", described)

    # --- scheduled actions

    def _put_schedule(self, request: dict[str, Any]) -> dict[str, Any]:
        target, name, now = self._target(request), request["ScheduledActionName"], self._clock()
        before = self._schedules.get((target.resource, name))
        if before is None and ("Schedule" not in request or "ScalableTargetAction" not in request):
            raise validation_exception("Schedule and ScalableTargetAction should be given for a new action.")
        expression = request.get("Schedule") or (before.expression if before else "")
        try:
            next_due(expression, now, zone=request.get("Timezone"))
        except ValueError as error:
            raise validation_exception(str(error)) from error
        action = request.get("ScalableTargetAction") or (before.action if before else {})
        if not action.keys() & {"MinCapacity", "MaxCapacity"}:
            raise validation_exception("ScalableTargetAction should have MinCapacity or MaxCapacity.")
        _check_bounds(action.get("MinCapacity", 0), action.get("MaxCapacity", math.inf))
        self._schedules[target.resource, name] = Schedule(
            name=name,
            arn=before.arn
            if before
            else self._arn("scheduledAction", target.resource, f"scheduledActionName/{name}"),
            resource=target.resource,
            expression=expression,
            timezone=request.get("Timezone"),
            start=request.get("StartTime"),
            end=request.get("EndTime"),
            action=action,
            created=before.created if before else now,
            fired=now,
        )
        return {}

    def _describe_schedules(self, request: dict[str, Any]) -> dict[str, Any]:
        described = [
            without_nulls(
                {
                    **_scope(one.resource),
                    "ScheduledActionName": one.name,
                    "ScheduledActionARN": one.arn,
                    "Schedule": one.expression,
                    "ScalableTargetAction": one.action,
                    "CreationTime": one.created,
                    "Timezone": one.timezone,
                    "StartTime": one.start,
                    "EndTime": one.end,
                }
            )
            for one in self._schedules.values()
            if one.resource == request.get("ResourceId", one.resource)
            and one.name in request.get("ScheduledActionNames", [one.name])
        ]
        return _page(request, "ScheduledActions", described)

    def _delete_schedule(self, request: dict[str, Any]) -> dict[str, Any]:
        key = self._resource(request), request["ScheduledActionName"]
        if key not in self._schedules:
            raise _not_found(
                f"No scheduled action found for service namespace: {NAMESPACE}, resource ID: {key[0]}, "
                f"scheduled action name: {key[1]}"
            )
        del self._schedules[key]
        return {}

    # --- names

    def _arn(self, kind: str, resource: str, name: str) -> str:
        return (
            f"arn:aws:autoscaling:{self._region}:{self._account}:{kind}:{uuid.uuid4()}:resource/"
            f"{NAMESPACE}/{resource}:{name}"
        )


def _check_bounds(minimum: float, maximum: float) -> None:
    if not 0 <= minimum <= maximum:
        raise validation_exception(
            f"Maximum capacity cannot be less than minimum capacity, got {maximum:g} and {minimum:g}."
        )


def _configuration(request: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The configuration of a policy of some type; ValidationException if it is missing or incomplete."""
    if kind not in ("StepScaling", "TargetTrackingScaling"):
        raise validation_exception(f"The embedded cloud knows no policies of type {kind}.")
    member = f"{kind}PolicyConfiguration"
    if member not in request:
        raise validation_exception(f"{member} should be given for a policy of type {kind}.")
    configuration: dict[str, Any] = request[member]
    if kind == "StepScaling":
        if not configuration.get("StepAdjustments"):
            raise validation_exception("StepAdjustments should be given.")
        if configuration.get("AdjustmentType") not in ("ChangeInCapacity", "ExactCapacity"):
            raise validation_exception("AdjustmentType should be ChangeInCapacity or ExactCapacity.")
        return configuration
    specifications = ("PredefinedMetricSpecification", "CustomizedMetricSpecification")
    if sum(one in configuration for one in specifications) != 1:
        raise validation_exception(f"Exactly one of {' and '.join(specifications)} should be given.")
    if "Metrics" in configuration.get("CustomizedMetricSpecification", {}):
        raise validation_exception("The embedded cloud tracks one metric, and no metric math.")
    if configuration["TargetValue"] <= 0:
        raise validation_exception("TargetValue should be above 0.")
    predefined = configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if predefined is not None and predefined not in PREDEFINED:
        raise validation_exception(f"{predefined} is not a metric of {COPIES}.")
    return configuration


def _described(activity: Activity) -> dict[str, Any]:
    described: dict[str, Any] = without_nulls(
        {
            **_scope(activity.resource),
            "ActivityId": activity.id,
            "Description": f"Setting desired copy count to {activity.wanted}.",
            "Cause": activity.cause,
            "StartTime": activity.started,
            "StatusCode": activity.status,
            "EndTime": activity.ended,
            "StatusMessage": activity.message,
        }
    )
    return described


def _scope(resource: str) -> dict[str, str]:
    return {"ServiceNamespace": NAMESPACE, "ResourceId": resource, "ScalableDimension": COPIES}


def _page(request: Mapping[str, Any], member: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """A page of a listing; its token is the position of the next one."""
    try:
        begin = int(request.get("NextToken", "0"))
    except ValueError as error:
        raise ApiError("InvalidNextTokenException", "The next token is not valid.") from error
    end = begin + int(request.get("MaxResults") or _PAGE)
    page: dict[str, Any] = {member: items[begin:end]}
    if end < len(items):
        page["NextToken"] = str(end)
    return page


def _not_found(message: str) -> ApiError:
    return ApiError("ObjectNotFoundException", message)
