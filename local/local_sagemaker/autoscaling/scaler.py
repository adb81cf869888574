"""Changes the capacity of targets, within bounds and cool-downs, and records each change as an activity."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local_sagemaker.autoscaling.decisions import step_capacity, tracked_capacity
from local_sagemaker.autoscaling.records import Activity, Capacity, Policy, Target
from local_sagemaker.autoscaling.scaled_components import ScaledComponents
from local_sagemaker.errors import ApiError

# [V API reference] The cool-down of a policy that has none.
_DEFAULT_COOLDOWN = 300
# How many activities are kept, of all targets together. [V] AWS keeps those of six weeks.
_ACTIVITIES = 200


@dataclass
class _Cooldown:
    """What happened last: when the pauses after adding and removing end, and the copies wanted then.

    before is how many copies there were when the pause after adding began.
    """

    out_until: float = -math.inf
    in_until: float = -math.inf
    wanted: int = 0
    before: int = 0


class Scaler:
    """Scales targets, and follows each change to its end."""

    def __init__(self, scalable: ScaledComponents, clock: Callable[[], float], scale: Callable[[], float]):
        """`scale` is how much of its time a cool-down lasts."""
        self._scalable = scalable
        self._clock = clock
        self._scale = scale
        self._cooldowns: dict[str, _Cooldown] = {}
        self.activities: list[Activity] = []

    def step(self, target: Target, policy: Policy, alarm: Mapping[str, Any], value: float | None) -> None:
        """Carry out a step policy for an alarm that rings."""
        capacity = self._scalable.capacity(target.name)
        if capacity is None or value is None:
            return
        threshold = float(alarm.get("Threshold") or 0)
        cooldown, current = self._cooldowns.get(target.resource, _Cooldown()), capacity.desired
        if self._clock() < cooldown.out_until:
            # [V API reference, StepScalingPolicyConfiguration] What was added counts as a part of the step.
            current = min(current, cooldown.before)
        wanted = step_capacity(policy.configuration, current, value, threshold)
        pause = float(policy.configuration.get("Cooldown", _DEFAULT_COOLDOWN))
        if wanted is not None:
            self._scale_to(target, capacity, wanted, _cause(alarm, policy), out_pause=pause, in_pause=pause)

    def track(
        self, target: Target, policy: Policy, alarm: Mapping[str, Any], value: float | None, *, agreed: bool
    ) -> None:
        """Carry out a target-tracking policy for an alarm that rings.

        agreed says whether every other policy that tracks allows fewer copies [V user guide].
        """
        capacity = self._scalable.capacity(target.name)
        if capacity is None or value is None:
            return
        wanted = tracked_capacity(capacity.desired, value, float(policy.configuration["TargetValue"]))
        if wanted < capacity.desired and not agreed:
            return
        self._scale_to(
            target,
            capacity,
            wanted,
            _cause(alarm, policy),
            out_pause=float(policy.configuration.get("ScaleOutCooldown", _DEFAULT_COOLDOWN)),
            in_pause=float(policy.configuration.get("ScaleInCooldown", _DEFAULT_COOLDOWN)),
        )

    def bring_in_bounds(self, target: Target, cause: str | None = None) -> None:
        """Change the capacity if it is outside the bounds of its target, without a cool-down."""
        capacity = self._scalable.capacity(target.name)
        if capacity is not None and (wanted := target.bounded(capacity.desired)) != capacity.desired:
            bound = "minimum" if wanted > capacity.desired else "maximum"
            # [V AWS CLI, examples of describe-scaling-activities] The words for a bound of a target.
            self._change(target, wanted, cause or f"{bound} capacity was set to {wanted}")

    def _scale_to(
        self,
        target: Target,
        capacity: Capacity,
        wanted: int,
        cause: str,
        *,
        out_pause: float,
        in_pause: float,
    ) -> None:
        bounded = target.bounded(wanted)
        outward = bounded > capacity.desired
        if (
            bounded == capacity.desired
            or self._busy(target)
            or not self._may(target, bounded, outward=outward)
        ):
            return
        if self._change(target, bounded, cause):
            cooldown = self._cooldowns.setdefault(target.resource, _Cooldown())
            cooldown.wanted = bounded
            now = self._clock()
            if outward:
                if now >= cooldown.out_until:
                    cooldown.before = capacity.desired
                cooldown.out_until = now + out_pause * self._scale()
                # [V user guide] The cool-down of a removal ends when copies are added.
                cooldown.in_until = -math.inf
            else:
                cooldown.in_until = now + in_pause * self._scale()

    def _busy(self, target: Target) -> bool:
        """Whether an earlier change of its own is in progress."""
        return any(one.resource == target.resource and one.ended is None for one in self.activities)

    def _may(self, target: Target, wanted: int, *, outward: bool) -> bool:
        """Whether the cool-downs allow a change.

        [V user guide] While copies that were added cool down, only a larger scale-out is carried out; while
        the removal of copies cools down, copies are added at once. [I] Nor are copies removed in the first
        case.
        """
        cooldown, now = self._cooldowns.get(target.resource, _Cooldown()), self._clock()
        if outward:
            return now >= cooldown.out_until or wanted > cooldown.wanted
        return now >= cooldown.in_until and now >= cooldown.out_until

    def _change(self, target: Target, wanted: int, cause: str) -> bool:
        """Ask for another number of copies; whether SageMaker took the order."""
        activity = Activity(resource=target.resource, wanted=wanted, cause=cause, started=self._clock())
        try:
            self._scalable.set_capacity(target.name, wanted)
        except ApiError as error:
            # [T] A change in progress, of somebody else or of the scaler itself, has the component's lock.
            activity.status, activity.ended = "Failed", self._clock()
            activity.message = f"Failed to set desired copy count to {wanted}. Reason: {error.message}"
        self.activities.insert(0, activity)
        del self.activities[_ACTIVITIES:]
        return activity.ended is None

    def follow(self) -> None:
        """End the activities whose change has ended."""
        for activity in self.activities:
            if activity.ended is not None:
                continue
            capacity = self._scalable.capacity(activity.resource.partition("/")[2])
            if capacity is not None and capacity.changing:
                continue
            activity.ended = self._clock()
            if capacity is not None and capacity.desired == activity.wanted:
                # [T users quote it for ECS] The words for another service.
                activity.status = "Successful"
                activity.message = (
                    f"Successfully set desired copy count to {activity.wanted}. "
                    "Change successfully fulfilled by sagemaker."
                )
            else:
                failure = "the component is gone" if capacity is None else capacity.failure
                activity.status = "Failed"
                activity.message = f"Failed to set desired copy count to {activity.wanted}. Reason: {failure}"

    def forget(self, resource: str) -> None:
        """Drop what is known of a target."""
        self._cooldowns.pop(resource, None)
        self.activities = [one for one in self.activities if one.resource != resource]


def _cause(alarm: Mapping[str, Any], policy: Policy) -> str:
    return f"monitor alarm {alarm['AlarmName']} in state ALARM triggered policy {policy.name}"
