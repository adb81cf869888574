from __future__ import annotations

import math

import pytest

from local_sagemaker.control_plane.capacity import accelerators, instance_count, move, place
from local_sagemaker.errors import HostingError

VARIANT = {"InstanceType": "ml.g5.12xlarge", "InitialInstanceCount": 2}


@pytest.mark.parametrize(
    ("instance_type", "count"),
    [
        ("ml.g5.12xlarge", 4),
        ("ml.g6e.48xlarge", 8),
        ("ml.p5.4xlarge", 1),
        ("ml.m5.xlarge", 0),
        ("ml.trn1.2xlarge", math.inf),
    ],
)
def test_accelerators_of_an_instance_type(instance_type: str, count: float) -> None:
    assert accelerators(instance_type) == count


def test_copies_go_where_most_is_free() -> None:
    assert place(VARIANT, 1, copies=3, taken=[(0, 2)]) == [(1, 1), (1, 1), (0, 1)]


def test_copy_does_not_span_instances() -> None:
    with pytest.raises(HostingError, match="CapacityError"):
        place(VARIANT, 3, copies=1, taken=[(0, 2), (1, 2)])


def test_managed_scaling_has_room_up_to_its_maximum() -> None:
    scaling = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 5}
    assert instance_count(VARIANT | {"ManagedInstanceScaling": scaling}) == 5
    assert instance_count(VARIANT | {"ManagedInstanceScaling": scaling | {"Status": "DISABLED"}}) == 2


def test_copies_whose_instances_go_share_what_is_left_of_the_others() -> None:
    assert move(VARIANT, [(0, 4), (2, 2), (3, 2)]) == [(0, 4), (1, 2), (1, 2)]
    with pytest.raises(HostingError, match="CapacityError"):
        move(VARIANT, [(0, 4), (2, 2), (3, 4)])


def test_copies_stay_where_they_are_when_the_new_instances_have_room_there() -> None:
    assert move(VARIANT, [(1, 2), (1, 2)]) == [(1, 2), (1, 2)]


def test_managed_scaling_adds_an_instance_only_for_a_copy_without_room() -> None:
    scaling = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 3}
    variant = {"InstanceType": "ml.g5.12xlarge", "InitialInstanceCount": 1, "ManagedInstanceScaling": scaling}
    placed = place(variant, 2, copies=3, taken=[])
    assert [instance for instance, _ in placed] == [0, 0, 1]
