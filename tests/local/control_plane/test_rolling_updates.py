"""A base component's update in batches, with alarms that bring the old copies back."""

from typing import Any

import pytest

from local_sagemaker.control_plane.capacity import NO_ROOM
from tests.local.world import World


def rolling(size: int, *, kind: str = "COPY_COUNT", wait: int = 60, **policy: Any) -> dict[str, Any]:
    return {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": {"Type": kind, "Value": size},
            "WaitIntervalInSeconds": wait,
            **policy,
        }
    }


def watched(deployment: dict[str, Any], alarm: str = "Errors") -> dict[str, Any]:
    return {**deployment, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]}}


def versions(world: World) -> str:
    return "".join(sorted(copy.environment.get("VERSION", "1") for copy in world.running))


@pytest.fixture
def serving(world: World) -> World:
    """Four copies on four accelerators."""
    world.serve("one", copies=4, accelerators=1)
    world.telemetry.alarms["Errors"] = "OK"
    return world


def test_each_batch_serves_for_the_interval_before_the_next_one_starts(serving: World) -> None:
    serving.update_base(DeploymentConfig=rolling(1))
    seen = []
    for _ in range(5):
        serving.pass_time(30)
        seen.append(versions(serving))
        serving.pass_time(30)
    assert seen == ["1112", "1122", "1222", "2222", "2222"]
    assert serving.status("base") == "InService"
    assert serving.loaded() == [["one"]] * 4


def test_batches_and_times_are_rounded_down_and_scaled(serving: World) -> None:
    serving.change(time_scale=0.01)
    serving.update_base(DeploymentConfig=rolling(49, kind="CAPACITY_PERCENT", wait=600), pass_time=3)
    assert versions(serving) == "1112"
    serving.pass_time(21)
    assert versions(serving) == "2222"


def test_an_alarm_between_two_batches_brings_the_old_copies_back(serving: World) -> None:
    deployment = watched(rolling(2))
    serving.update_base(DeploymentConfig=deployment, pass_time=30)
    assert versions(serving) == "1122"
    serving.telemetry.alarms["Errors"] = "ALARM"
    serving.pass_time(10)
    described = serving.component("base")
    assert (described["InferenceComponentStatus"], versions(serving)) == ("InService", "1111")
    assert described["FailureReason"] == "The update was rolled back: alarms in ALARM: Errors"
    assert described["Specification"]["ModelName"] == "model"
    assert described["LastDeploymentConfig"] == deployment
    assert serving.loaded() == [["one"]] * 4
    # CloudFormation updates to what serves when it rolls the stack back. The reason outlives that.
    serving.update_base("model", DeploymentConfig=deployment, pass_time=60)
    assert serving.component("base")["FailureReason"] == described["FailureReason"]
    serving.telemetry.alarms["Errors"] = "OK"
    serving.update_base(DeploymentConfig=deployment, pass_time=300)
    assert versions(serving) == "2222"
    assert "FailureReason" not in serving.component("base")


def test_a_rollback_may_go_in_batches_too(serving: World) -> None:
    batch = {"Type": "COPY_COUNT", "Value": 1}
    serving.update_base(DeploymentConfig=watched(rolling(2, RollbackMaximumBatchSize=batch)), pass_time=30)
    serving.telemetry.alarms["Errors"] = "ALARM"
    seen = []
    for _ in range(30):
        serving.pass_time(0.1)
        seen.append((versions(serving).count("2"), serving.status("base")))
    assert list(dict.fromkeys(seen)) == [(2, "Updating"), (1, "Updating"), (0, "InService")]


def test_while_it_rolls_back_another_write_is_refused_by_its_state(serving: World) -> None:
    serving.update_base(DeploymentConfig=watched(rolling(2)), pass_time=30)
    serving.telemetry.alarms["Errors"] = "ALARM"
    serving.running[0].busy[None] = serving.running[-1].busy[None] = 30
    serving.pass_time(2)
    assert "UPDATE_ROLLBACK_IN_PROGRESS" in serving.refusal(
        "DeleteInferenceComponent", InferenceComponentName="base"
    )


def test_an_update_that_takes_longer_than_it_may_is_rolled_back(serving: World) -> None:
    serving.update_base(DeploymentConfig=rolling(1, wait=400, MaximumExecutionTimeoutInSeconds=600))
    serving.pass_time(500)
    assert versions(serving) == "1122"
    serving.pass_time(200)
    assert versions(serving) == "1111"
    assert "MaximumExecutionTimeoutInSeconds" in serving.component("base")["FailureReason"]


def test_a_copy_that_does_not_start_rolls_back_what_has_started(serving: World) -> None:
    serving.hosting.starts_that_fail = {len(serving.hosting.started) + 1}
    serving.update_base(DeploymentConfig=rolling(1), pass_time=300)
    assert versions(serving) == "1111"
    assert "ping" in serving.component("base")["FailureReason"]


def test_where_updates_need_spare_room_a_batch_needs_it_only_once(
    world: World,
) -> None:
    # Three of four accelerators are in use.
    world.serve("one", copies=3, accelerators=1, base_update_room="spare")
    world.update_base(pass_time=10)
    assert world.component("base")["FailureReason"] == NO_ROOM
    assert (versions(world), world.loaded()) == ("111", [["one"]] * 3)
    world.update_base(DeploymentConfig=rolling(1, wait=0), pass_time=10)
    assert versions(world) == "222"


@pytest.mark.parametrize(
    ("deployment", "said"),
    [
        (rolling(3), "got 3 with type COPY_COUNT"),
        (rolling(51, kind="CAPACITY_PERCENT"), "got 51 with type CAPACITY_PERCENT"),
        (
            rolling(1, RollbackMaximumBatchSize={"Type": "CAPACITY_PERCENT", "Value": 101}),
            "RollbackMaximumBatchSize should be at most 100 %",
        ),
        (watched(rolling(1), "Other"), "Could not find alarm Other"),
    ],
)
def test_batches_and_alarms_that_cannot_be_are_refused(
    serving: World, deployment: dict[str, Any], said: str
) -> None:
    update = {"InferenceComponentName": "base", "DeploymentConfig": deployment}
    assert said in serving.refusal("UpdateInferenceComponent", **update)


def test_copies_that_do_not_come_back_give_their_room_back(serving: World) -> None:
    serving.update_base(DeploymentConfig=watched(rolling(2)), pass_time=30)
    serving.hosting.starts_that_fail = {len(serving.hosting.started)}
    serving.telemetry.alarms["Errors"] = "ALARM"
    serving.pass_time(100)
    assert versions(serving) == "11"
    serving.create_base("second", accelerators=2, pass_time=10)
    assert serving.status("second") == "InService"


def test_room_of_the_old_copies_is_nobodys_while_they_may_come_back(serving: World) -> None:
    smaller = {"ModelName": "model-2", "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 1024}}
    serving.update_base(Specification=smaller, DeploymentConfig=watched(rolling(2)), pass_time=30)
    serving.create_base("second", accelerators=1, pass_time=5)
    assert serving.component("second")["FailureReason"] == NO_ROOM
    serving.telemetry.alarms["Errors"] = "ALARM"
    serving.pass_time(100)
    assert versions(serving) == "1111"
