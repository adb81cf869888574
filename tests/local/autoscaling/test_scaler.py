"""How policies and schedules change copies."""

from typing import Any

import pytest

from tests.local.autoscaling.scaled import PER_MINUTE, scaled


def test_bounds_are_kept_and_returned_to() -> None:
    world = scaled(copies=2, least=2, most=3)
    policy = world.track(ScaleOutCooldown=0)["PolicyARN"]
    for value, copies in ((100, 3), (0, 2)):
        world.ring(policy, value)
        world.settle()
        assert world.copies == copies
    world.components.copies["base"] = 0  # somebody has removed the copies
    world.ring(world.step(), 1)
    assert world.copies == 2


@pytest.mark.parametrize(
    ("least", "most", "copies", "cause"),
    [(3, 4, 3, "minimum capacity was set to 3"), (0, 1, 1, "maximum capacity was set to 1")],
)
def test_registered_bounds_take_effect_at_once(least: int, most: int, copies: int, cause: str) -> None:
    world = scaled(copies=2, least=least, most=most)
    assert world.copies == copies
    assert world.activities()[0]["Cause"] == cause


def test_larger_scale_out_does_not_wait_for_the_cool_down() -> None:
    world = scaled(copies=1, most=9)
    policy = world.track(ScaleOutCooldown=300)["PolicyARN"]
    world.ring(policy, 8)
    world.settle()
    world.components.copies["base"] = 1  # somebody has removed a copy
    world.ring(policy, 8)
    assert world.copies == 1
    world.ring(policy, 20)
    assert world.copies == 5
    world.settle()


@pytest.mark.parametrize(
    ("before", "cooldowns", "story"),
    [
        (1, {"ScaleOutCooldown": 60, "ScaleInCooldown": 60}, [(0, 8, 2), (59, 0, 2), (1, 0, 0)]),
        (3, {"ScaleOutCooldown": 60, "ScaleInCooldown": 600}, [(0, 1, 1), (1, 16, 4), (60, 0, 0)]),
        (4, {"ScaleInCooldown": 60}, [(0, 2, 2), (59, 0, 2), (1, 0, 0)]),
    ],
    ids=["not while added ones cool down", "added ones end the cool-down of a removal", "of a removal"],
)
def test_copies_are_removed_after_the_cool_down(
    before: int, cooldowns: dict[str, Any], story: list[tuple[float, float, int]]
) -> None:
    world = scaled(copies=before)
    policy = world.track(**cooldowns)["PolicyARN"]
    for seconds, value, copies in story:
        world.now += seconds
        world.ring(policy, value)
        world.settle()
        assert world.copies == copies


@pytest.mark.parametrize(
    ("scale", "members", "seconds"), [(1.0, {}, 300), (0.1, {"Cooldown": 60}, 6)], ids=["default", "scaled"]
)
def test_step_waits_for_the_cool_down_in_scaled_time(
    scale: float, members: dict[str, Any], seconds: float
) -> None:
    world = scaled(copies=0, scale=scale)
    policy = world.step(**members)
    for wait, copies in ((0, 1), (seconds - 0.1, 1), (0.1, 2)):
        world.now += wait
        world.ring(policy, 1)
        world.settle()
        assert world.copies == copies


def test_step_in_the_cool_down_adds_only_what_is_beyond_the_last_one() -> None:
    world = scaled(copies=1, most=9)
    policy = world.step(2, more=3)
    world.ring(policy, 1)
    world.settle()
    world.ring(policy, 1)
    assert world.copies == 3
    world.ring(policy, 6)
    assert world.copies == 4


def test_own_change_in_progress_is_waited_for() -> None:
    world = scaled(copies=1, most=9)
    policy = world.track()["PolicyARN"]
    world.ring(policy, 8)
    world.ring(policy, 100)
    assert world.copies == 2
    assert len(world.activities()) == 1


def test_change_of_somebody_else_in_progress_fails_the_activity() -> None:
    world = scaled(copies=1)
    world.components.locked = True
    world.ring(world.track()["PolicyARN"], 12)
    (activity,) = world.activities()
    assert activity["StatusCode"] == "Failed"
    assert "while it is in state UPDATE_RC_IN_PROGRESS" in activity["StatusMessage"]


def test_activity_follows_the_change_to_its_end() -> None:
    world = scaled(copies=1)
    world.ring(world.track()["PolicyARN"], 12)
    assert [one["StatusCode"] for one in world.activities()] == ["InProgress"]
    world.settle()
    (activity,) = world.activities()
    assert (world.copies, activity["StatusCode"]) == (3, "Successful")
    assert activity["Description"] == "Setting desired copy count to 3."
    assert activity["Cause"] == "monitor alarm alarm in state ALARM triggered policy track"


def test_failed_change_tells_the_components_reason() -> None:
    world = scaled(copies=1)
    world.ring(world.track()["PolicyARN"], 12)
    world.components.copies["base"] = 1
    world.components.failure = "CapacityError"
    world.settle()
    (activity,) = world.activities()
    assert (activity["StatusCode"], activity["StatusMessage"]) == (
        "Failed",
        "Failed to set desired copy count to 3. Reason: CapacityError",
    )


def test_copies_are_removed_only_if_every_tracking_policy_agrees() -> None:
    world = scaled(copies=3)
    policy, other = world.track()["PolicyARN"], world.track("other", PER_MINUTE)
    world.ring(policy, 0)
    assert world.copies == 3
    world.alarms.ringing.add(other["Alarms"][1]["AlarmName"])
    world.ring(policy, 0)
    assert world.copies == 0


def test_alarm_of_a_deleted_policy_does_nothing() -> None:
    world = scaled(copies=2)
    world.ring("arn:aws:autoscaling:us-east-1:111122223333:scalingPolicy:x:policyName/x", 100)
    assert world.copies == 2


def test_scheduled_action_changes_bounds_and_copies_at_its_time() -> None:
    world = scaled(copies=4, least=1, most=4)
    world.schedule("rate(1 hour)", MinCapacity=0, MaxCapacity=2)
    world.now += 3_599
    world.service.tick()
    assert world.copies == 4
    world.now += 1
    world.service.tick()
    assert world.copies == 2
    (target,) = world.call("DescribeScalableTargets", ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 2)
    world.settle()
    (activity,) = world.activities()
    assert activity["Cause"] == "scheduled action name night was triggered"


def test_one_time_action_is_gone_afterwards() -> None:
    world = scaled(copies=0)
    world.schedule("at(1970-01-12T13:46:50)", MinCapacity=2)
    world.now += 10
    world.service.tick()
    assert world.copies == 2
    assert world.call("DescribeScheduledActions", ServiceNamespace="sagemaker")["ScheduledActions"] == []
