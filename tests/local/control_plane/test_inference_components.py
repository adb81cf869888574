from collections.abc import Callable
from typing import Any

import pytest

from local_sagemaker.control_plane.capacity import NO_ROOM
from local_sagemaker.errors import ApiError
from tests.local.world import World, adapter_specification

ARN = "arn:aws:sagemaker:us-east-1:111122223333:inference-component"


def test_duplicate_is_refused_whatever_its_case(world: World) -> None:
    world.serve("one")
    message = world.refusal(
        "CreateInferenceComponent",
        InferenceComponentName="ONE",
        EndpointName="endpoint",
        Specification=adapter_specification("other"),
    )
    assert message == f'Cannot create already existing inference component "{ARN}/one".'


def of_base(base: str = "base", **container: str) -> dict[str, Any]:
    return {"BaseInferenceComponentName": base, "Container": container}


@pytest.mark.parametrize(
    ("specification", "names"),
    [
        (adapter_specification("x") | {"ModelName": "model"}, "ModelName"),
        (of_base(ArtifactUrl="s3://b/x", Image="i"), "Container.Image"),
        (of_base(), "ArtifactUrl"),
        (of_base("one", ArtifactUrl="s3://b/x"), "not a base inference component"),
    ],
)
def test_adapter_is_its_base_and_its_artifact_and_nothing_else(
    world: World, specification: dict[str, Any], names: str
) -> None:
    world.serve("one")
    request = {"InferenceComponentName": "two", "EndpointName": "endpoint", "Specification": specification}
    assert names in world.refusal("CreateInferenceComponent", **request)


def test_settings_that_nothing_acts_on_are_described_as_they_were_sent(world: World) -> None:
    stored: dict[str, Any] = {
        "SchedulingConfig": {"PlacementStrategy": "SPREAD"},
        "DataCacheConfig": {"EnableCaching": True},
        "StartupParameters": {"ModelDataDownloadTimeoutInSeconds": 600},
    }
    world.create_model()
    world.create_endpoint()
    world.create_base(**stored)
    found = world.component("base")["Specification"]
    assert {key: found[key] for key in stored} == stored


AS_SDK_V2: dict[str, Any] = {"VariantName": "AllTraffic", "RuntimeConfig": {"CopyCount": 1}}


def test_adapter_as_the_sdk_v2_creates_it_is_an_adapter_like_another(world: World) -> None:
    world.serve("one")
    world.create_adapter("two", **AS_SDK_V2)
    with pytest.raises(ApiError, match="VariantName should be AllTraffic"):
        world.create_adapter("three", VariantName="Another")
    world.pass_time(10)
    like = {"InferenceComponentName", "InferenceComponentArn", "CreationTime", "LastModifiedTime"}
    one, two = ({k: v for k, v in world.component(name).items() if k not in like} for name in ("one", "two"))
    assert two == one | {"Specification": two["Specification"]}


def test_what_is_the_bases_may_be_refused_for_an_adapter(world: World) -> None:
    world.serve("one", adapter_with_base_members="refused")
    for member, value in AS_SDK_V2.items():
        with pytest.raises(ApiError, match=f"^{member} should not be given"):
            world.create_adapter("two", **{member: value})


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"copies": 0}, "Inference components copy count an integer larger than 0"),
        ({"accelerators": 8}, "more than the 4 of instance type ml"),
        ({"compute": {"MinMemoryRequiredInMb": 196609}}, "MinMemoryRequiredInMb is 196609, more than the"),
        ({"compute": {"NumberOfCpuCoresRequired": 48.5}}, "NumberOfCpuCoresRequired is 48.5, more than the"),
        ({"compute": {"MaxMemoryRequiredInMb": 1023}}, "should be at least MinMemoryRequiredInMb"),
    ],
)
def test_base_that_no_instance_can_hold_is_refused(
    world: World, request_: dict[str, Any], message: str
) -> None:
    world.create_model()
    world.create_endpoint()
    with pytest.raises(ApiError, match=message):
        world.create_base(**request_)


def test_write_in_transition_is_refused_with_the_internal_state(world: World) -> None:
    world.create_model()
    world.create_endpoint()
    world.create_base()
    message = world.refusal("DeleteInferenceComponent", InferenceComponentName="base")
    assert message == (
        f'Cannot delete inference component "{ARN}/base" while it is in state CREATE_IN_PROGRESS.'
    )
    with pytest.raises(ApiError, match="is in state CREATE_IN_PROGRESS"):
        world.create_adapter("early")
    world.pass_time(10)
    world.scale(0)
    with pytest.raises(ApiError, match="while it is in state UPDATE_RC_IN_PROGRESS"):
        world.scale(1)


def test_adapter_that_cannot_be_loaded_is_failed_with_the_reason_and_can_be_deleted(world: World) -> None:
    world.serve()
    world.create_adapter("bad", artifact="unloadable", pass_time=10)
    described = world.component("bad")
    assert described["InferenceComponentStatus"] == "Failed"
    assert described["FailureReason"] == "The container answered 424: cannot load unloadable"
    with pytest.raises(ApiError, match="while it is in state CREATE_FAILED"):
        world.update_adapter("bad", "good")
    world.delete("bad", pass_time=10)
    assert "Could not find" in world.refusal("DescribeInferenceComponent", InferenceComponentName="bad")


def test_update_with_a_gap_has_neither_archive_for_a_while(world: World) -> None:
    world.serve("one", "other", adapter_update="gap", update_gap_seconds=5)
    world.update_adapter("one", "one-v2", pass_time=1)
    assert world.loaded() == [["other"]]
    assert world.status("one") == "Updating"
    # A copy that joins during the gap gets the new archive.
    world.update_base(pass_time=1)
    assert world.loaded() == [["other"]]
    world.pass_time(5)
    assert world.loaded() == [["one-v2", "other"]]


@pytest.mark.parametrize(("mode", "name"), [("gapless", "one.2"), ("gap", "one")])
def test_adapter_has_its_components_name_until_an_update(world: World, mode: str, name: str) -> None:
    world.serve("one", adapter_update=mode)
    assert list(world.running[0].adapters) == ["one"]
    world.update_adapter("one", "one-v2", pass_time=10)
    assert list(world.running[0].adapters) == [name]


def test_refused_update_leaves_everything_as_it_was(world: World) -> None:
    world.serve("one", adapter_update="refused")
    world.update_adapter("one", "one-v2", pass_time=10)
    assert world.status("one") == "InService"
    assert world.component("one")["FailureReason"] == "Update operation is not supported"
    assert (world.artifact("one"), world.loaded()) == ("one", [["one"]])


@pytest.mark.parametrize(
    ("mode", "artifact"), [("gapless", "missing"), ("gapless", "unloadable"), ("gap", "unloadable")]
)
def test_update_that_fails_keeps_the_last_good_version(world: World, mode: str, artifact: str) -> None:
    world.serve("one", instances=2, copies=2, adapter_update=mode)
    world.update_adapter("one", artifact, pass_time=10)
    assert world.status("one") == "InService"
    assert artifact in world.component("one")["FailureReason"]
    assert (world.artifact("one"), world.loaded()) == ("one", [["one"], ["one"]])


@pytest.mark.parametrize("stays", [True, False])
def test_failure_reason_goes_or_stays_after_a_later_success(world: World, stays: bool) -> None:
    world.serve("one", failure_reason_stays=stays)
    world.update_adapter("one", "missing", pass_time=10)
    world.update_adapter("one", "one-v2", pass_time=10)
    assert world.artifact("one") == "one-v2"
    assert ("FailureReason" in world.component("one")) == stays


def test_adapters_can_be_lost_on_the_copies_that_a_base_update_makes(
    world: World,
) -> None:
    world.serve("one", adapters_on_new_copies="lost")
    world.update_base(pass_time=10)
    assert (world.status("one"), world.loaded()) == ("InService", [[]])
    world.update_adapter("one", "one-v2", pass_time=10)
    assert world.loaded() == [["one-v2"]]


def test_base_update_that_fails_half_way_puts_back_what_it_replaced(world: World) -> None:
    world.serve("one", instances=2, copies=2)
    world.hosting.starts_that_fail.add(3)
    world.update_base(pass_time=10)
    described = world.component("base")
    assert described["InferenceComponentStatus"] == "InService"
    assert "ping health check" in described["FailureReason"]
    assert described["Specification"]["ModelName"] == "model"
    assert [copy.environment for copy in world.running] == [{}, {}]
    assert world.loaded() == [["one"], ["one"]]


def test_a_base_is_updated_by_its_compute_requirements_alone_where_that_is_allowed(world: World) -> None:
    world.serve("one")
    compute = {"MinMemoryRequiredInMb": 2048, "NumberOfAcceleratorDevicesRequired": 2}
    update = {"InferenceComponentName": "base", "Specification": {"ComputeResourceRequirements": compute}}
    world.call("UpdateInferenceComponent", **update, pass_time=10)
    expected = {"ModelName": "model", "ComputeResourceRequirements": compute}
    assert world.component("base")["Specification"] == expected
    world.change(partial_specification="refused")
    assert "ModelName and Container.Image" in world.refusal("UpdateInferenceComponent", **update)


def test_copies_that_scaling_adds_have_the_adapters_and_those_it_removes_stop(world: World) -> None:
    world.serve("one", instances=3)
    for copies in (3, 1, 0):
        world.scale(copies, pass_time=10)
        assert world.loaded() == [["one"]] * copies
        assert world.component("one")["RuntimeConfig"]["CurrentCopyCount"] == copies


def test_base_without_room_reserves_nothing_and_one_that_failed_does_until_it_is_deleted(
    world: World,
) -> None:
    world.create_model()
    world.create_endpoint()
    world.hosting.starts_that_fail.add(0)
    world.create_base("broken", pass_time=10)
    assert "ping health check" in world.component("broken")["FailureReason"]
    world.create_base("blocked", pass_time=10)
    assert world.component("blocked")["FailureReason"] == NO_ROOM
    world.delete("broken", pass_time=10)
    world.create_base("fits", pass_time=10)
    assert world.status("fits") == "InService"


def test_deletion_takes_an_adapter_off_every_copy_and_that_of_the_base_all_of_them(world: World) -> None:
    world.serve("one", "two", "three", instances=2, copies=2)
    world.delete("three")
    assert world.status("three") == "Deleting"
    world.pass_time(10)
    assert world.loaded() == [["one", "two"]] * 2
    world.delete("base")
    assert world.status("one") == "Deleting"
    world.pass_time(10)
    assert world.call("ListInferenceComponents")["InferenceComponents"] == []
    assert world.running == []


def test_deleting_the_base_can_be_refused_while_it_has_adapters(world: World) -> None:
    world.serve("one", base_delete="refuse")
    message = world.refusal("DeleteInferenceComponent", InferenceComponentName="base")
    assert "is a base inference component for one or more associated inference components" in message
    world.delete("one", pass_time=10)
    world.delete("base", pass_time=10)
    assert world.running == []


def test_writes_below_one_base_can_refuse_each_other(world: World) -> None:
    world.serve("one", "two", one_write_per_base=True)
    world.update_adapter("one", "one-v2")
    writes: list[Callable[[], None]] = [
        lambda: world.update_adapter("two", "two-v2"),
        lambda: world.create_adapter("three"),
        lambda: world.delete("two"),
    ]
    for refused in writes:
        with pytest.raises(
            ApiError, match=f'while inference component "{ARN}/one" is in state UPDATE_IN_PROGRESS'
        ):
            refused()
    world.pass_time(10)
    world.update_adapter("two", "two-v2")


def test_last_modified_time_can_move_by_itself(world: World) -> None:
    world.serve("one", last_modified_moves_every_seconds=60)
    before = world.component("one")["LastModifiedTime"]
    world.pass_time(61)
    assert world.component("one")["LastModifiedTime"] > before


def test_update_of_an_adapter_takes_nothing_but_the_artifact(world: World) -> None:
    world.serve("one")
    specification = adapter_specification("two")
    request: dict[str, Any] = {"InferenceComponentName": "one", "Specification": specification}
    assert "BaseInferenceComponentName" in world.refusal("UpdateInferenceComponent", **request)
    request["Specification"] = {"Container": specification["Container"]}
    batch = {"MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 1}, "WaitIntervalInSeconds": 0}
    request["DeploymentConfig"] = {"RollingUpdatePolicy": batch}
    assert "Of an adapter only" in world.refusal("UpdateInferenceComponent", **request)


def test_artifacts_that_nobody_needs_any_more_are_discarded(world: World) -> None:
    world.serve("one")
    world.update_adapter("one", "one-v2", pass_time=10)
    world.update_adapter("one", "unloadable", pass_time=10)
    world.delete("base", pass_time=10)
    assert sorted(path.name for path in world.hosting.discarded) == ["1", "one", "one-v2", "unloadable"]
