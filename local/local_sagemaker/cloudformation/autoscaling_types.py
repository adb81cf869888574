"""The CloudFormation types of Application Auto Scaling, as AWS's resource schemas describe them [V].

Ref of a target is its resource, dimension and namespace, joined by bars. Ref of a policy is its ARN.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from local_sagemaker.cloudformation.handlers import HandlerError, Properties, Provisioned
from local_sagemaker.control_plane.request_validation import coerce_request
from local_sagemaker.errors import ApiError

Call = Callable[[str, dict[str, Any]], dict[str, Any]]

_SERVICE = "application-autoscaling"
_SCOPE = ("ServiceNamespace", "ResourceId", "ScalableDimension")


class _Type:
    """One type; its handlers run on the event loop, since no call of the service waits."""

    name: ClassVar[str]
    create_only: ClassVar[tuple[str, ...]]

    def __init__(self, call: Call):
        self._service = call

    def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._service(operation, coerce_request(operation, request, service=_SERVICE))
        except ApiError as error:
            missing = error.code == "ObjectNotFoundException"
            code = "NotFound" if missing else "InvalidRequest"
            raise HandlerError(f"{error.message} (Service: ApplicationAutoScaling)", code) from error

    def _delete(self, operation: str, request: dict[str, Any]) -> None:
        try:
            self._service(operation, request)
        except ApiError as error:
            # What is gone counts as deleted. A policy goes with its target.
            if error.code != "ObjectNotFoundException":
                raise HandlerError(error.message, "InvalidRequest") from error


class ScalableTargetType(_Type):
    """AWS::ApplicationAutoScaling::ScalableTarget."""

    name = "AWS::ApplicationAutoScaling::ScalableTarget"
    create_only = _SCOPE

    def create(self, logical_id: str, properties: Properties, stack: str) -> Provisioned:
        """Register a target with its scheduled actions."""
        del logical_id, stack
        self._register(properties)
        identity = "|".join(
            properties[key] for key in ("ResourceId", "ScalableDimension", "ServiceNamespace")
        )
        try:
            self._schedule(properties, [])
        except Exception:
            # [V resource type handler contract] What fails before it has an identifier is not there.
            self.delete(identity, properties)
            raise
        return identity, {"Id": identity}

    def update(self, physical_id: str, old: Properties, new: Properties, stack: str) -> Provisioned:
        """Register the target again, and replace its scheduled actions."""
        del stack
        self._register(new)
        self._schedule(new, old.get("ScheduledActions") or [])
        return physical_id, {"Id": physical_id}

    def _register(self, properties: Properties) -> None:
        self._call("RegisterScalableTarget", _but(properties, "ScheduledActions", "Tags"))

    def _schedule(self, properties: Properties, before: list[Properties]) -> None:
        scope = {key: properties[key] for key in _SCOPE}
        actions = properties.get("ScheduledActions") or []
        for action in actions:
            self._call("PutScheduledAction", scope | action)
        kept = {action["ScheduledActionName"] for action in actions}
        for action in before:
            name = action["ScheduledActionName"]
            if name not in kept:
                self._delete("DeleteScheduledAction", scope | {"ScheduledActionName": name})

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Deregister the target."""
        del properties
        self._delete("DeregisterScalableTarget", _scope_of(physical_id))


class ScalingPolicyType(_Type):
    """AWS::ApplicationAutoScaling::ScalingPolicy."""

    name = "AWS::ApplicationAutoScaling::ScalingPolicy"
    create_only = ("PolicyName", "ScalingTargetId", *_SCOPE)

    def create(self, logical_id: str, properties: Properties, stack: str) -> Provisioned:
        """Put a policy."""
        del logical_id, stack
        return self._put(properties)

    def update(self, physical_id: str, old: Properties, new: Properties, stack: str) -> Provisioned:
        """Put the policy again."""
        del physical_id, old, stack
        return self._put(new)

    def _put(self, properties: Properties) -> Provisioned:
        request = _but(properties, "ScalingTargetId") | _policy_scope(properties)
        answer = self._call("PutScalingPolicy", request)
        return answer["PolicyARN"], {"Arn": answer["PolicyARN"]}

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Delete the policy."""
        name = physical_id.rpartition("policyName/")[2]
        self._delete("DeleteScalingPolicy", _policy_scope(properties) | {"PolicyName": name})


def _but(properties: Properties, *others: str) -> Properties:
    """All properties but some; of the rest, the service refuses what it does not know."""
    return {key: value for key, value in properties.items() if key not in others}


def _scope_of(target: str) -> dict[str, str]:
    resource, dimension, namespace = target.split("|")
    return {"ServiceNamespace": namespace, "ResourceId": resource, "ScalableDimension": dimension}


def _policy_scope(properties: Properties) -> dict[str, str]:
    if "ScalingTargetId" in properties:
        return _scope_of(properties["ScalingTargetId"])
    return {key: properties[key] for key in _SCOPE if key in properties}


AUTOSCALING_TYPES: tuple[type[ScalableTargetType] | type[ScalingPolicyType], ...] = (
    ScalableTargetType,
    ScalingPolicyType,
)
