import math

import pytest

from local_sagemaker.control_plane.capacity import (
    Resources,
    instance_count,
    instance_resources,
    move_copies,
    place_copies,
    room_beyond,
)
from local_sagemaker.errors import HostingError

VARIANT = {"InstanceType": "ml.g5.12xlarge", "InitialInstanceCount": 2}
GIB = 1024


def gpus(count: float) -> Resources:
    return Resources(accelerators=count)


@pytest.mark.parametrize(
    ("instance_type", "accelerators", "gib", "vcpus"),
    [
        ("ml.g6e.48xlarge", 8, 1536, 192),
        ("ml.c5.18xlarge", 0, 144, 72),
        ("ml.t3.medium", 0, math.inf, math.inf),
        ("ml.trn1.2xlarge", math.inf, math.inf, math.inf),
    ],
)
def test_resources_of_an_instance_type(
    instance_type: str, accelerators: float, gib: float, vcpus: float
) -> None:
    assert instance_resources(instance_type) == (accelerators, gib * GIB, vcpus)


def test_unknown_instance_type_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    instance_resources.cache_clear()
    for _ in range(2):
        assert instance_resources("ml.g5.13xlarge").accelerators == math.inf
    (message,) = caplog.messages
    assert "ml.g5.13xlarge is not known here" in message


def test_copies_go_where_most_is_free_and_span_no_instances() -> None:
    placed = place_copies(VARIANT, gpus(1), copies=3, taken=[(0, gpus(2))])
    assert [instance for instance, _ in placed] == [1, 1, 0]
    with pytest.raises(HostingError, match="CapacityError"):
        place_copies(VARIANT, gpus(3), copies=1, taken=[(0, gpus(2)), (1, gpus(2))])


def test_managed_scaling_adds_instances_up_to_its_maximum_for_copies_without_room() -> None:
    scaling = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 3}
    variant = VARIANT | {"InitialInstanceCount": 1, "ManagedInstanceScaling": scaling}
    assert instance_count(variant) == 3
    assert instance_count(VARIANT | {"ManagedInstanceScaling": scaling | {"Status": "DISABLED"}}) == 2
    placed = place_copies(variant, gpus(2), copies=3, taken=[])
    assert [instance for instance, _ in placed] == [0, 0, 1]


@pytest.mark.parametrize(
    "needed",
    [Resources(1, memory=100 * GIB), Resources(1, vcpus=25)],
    ids=["memory", "vcpus"],
)
def test_copy_needs_memory_and_cpus_of_the_host_too(needed: Resources) -> None:
    placed = place_copies(VARIANT, needed, copies=2, taken=[])
    assert [instance for instance, _ in placed] == [0, 1]
    with pytest.raises(HostingError, match="CapacityError"):
        place_copies(VARIANT, needed, copies=1, taken=placed)


def test_memory_that_the_service_keeps_is_for_no_copy() -> None:
    half = Resources(1, memory=96 * GIB)
    assert len(place_copies(VARIANT, half, copies=4, taken=[])) == 4
    with pytest.raises(HostingError, match="CapacityError"):
        place_copies(VARIANT, half, copies=3, taken=[], kept=0.1)


def test_what_another_placement_takes_beyond_the_present_one() -> None:
    present = [(0, Resources(1, memory=10)), (0, Resources(1, memory=10)), (1, Resources(4))]
    wanted = [(0, Resources(3, memory=5)), (2, Resources(1))]
    assert room_beyond(present, wanted) == [(0, Resources(1)), (2, Resources(1))]


def test_copies_whose_instances_go_share_what_is_left_of_the_others() -> None:
    stay = [(1, gpus(2)), (1, gpus(2))]
    assert move_copies(VARIANT, stay) == stay
    moved = move_copies(VARIANT, [(0, gpus(4)), (2, gpus(2)), (3, gpus(2))])
    assert [instance for instance, _ in moved] == [0, 1, 1]
    with pytest.raises(HostingError, match="CapacityError"):
        move_copies(VARIANT, [(0, gpus(4)), (2, gpus(2)), (3, gpus(4))])
