"""The copies of several base models on the instances of one endpoint."""

from collections.abc import Sequence
from math import ceil

import aws_cdk as cdk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multi_adapter_inference import ComputeRequirements, InstanceType
from multi_adapter_inference.endpoint.instances import Copies, Instances

SCOPE = cdk.Stack(cdk.App(), "Stack")
UNKNOWN = InstanceType.of("ml.g99.xlarge", vcpus=4)


TAKING = {
    accelerators: ComputeRequirements(accelerators=accelerators, min_memory=cdk.Size.gibibytes(8))
    for accelerators in range(1, 9)
}


class World:
    """The instances of an endpoint, and base models that are added to it."""

    def __init__(self, start: int = 1, most: int | None = None, *types: InstanceType) -> None:
        self.types: Sequence[InstanceType] = types or (InstanceType.ML_G5_12XLARGE,)
        self.instances = Instances(self.types, start=start, most=most)

    def add(self, accelerators: int, start: int = 1, scaled: tuple[int, int] | None = None) -> Copies:
        copies = Copies(of=SCOPE, compute=dict.fromkeys(self.types, TAKING[accelerators]), start=start)
        self.instances.add(copies)
        if scaled is not None:
            self.instances.scale(copies, *scaled)
        return copies


@pytest.mark.parametrize(
    ("copies", "expected"), [((1, 3), (1, 1)), ((0, 8), (0, 2)), ((1, 9), (1, 3))], ids=str
)
def test_as_many_as_the_copies_need_follow_them(copies: tuple[int, int], expected: tuple[int, int]) -> None:
    world = World()
    scaled = world.add(1, scaled=copies)
    assert world.instances.range == expected
    assert world.instances.room(scaled) == 4 * expected[1]


def test_copies_of_all_base_models_need_them_together() -> None:
    world = World(start=2)
    large = world.add(3, scaled=(0, 2))
    assert world.instances.range == (0, 2)
    small = world.add(1, scaled=(0, 4))
    # Two small copies fit beside the large ones.
    assert world.instances.range == (0, 3)
    assert (world.instances.room(large), world.instances.room(small)) == (2, 6)
    world.add(4)
    assert world.instances.range == (1, 4)


def test_the_most_are_those_of_the_smallest_type_and_the_fewest_those_of_the_largest() -> None:
    world = World(4, None, InstanceType.ML_G5_12XLARGE, InstanceType.of("ml.g6e.xlarge", accelerators=1))
    world.add(1, start=4, scaled=(4, 6))
    assert world.instances.range == (1, 6)


def test_those_that_do_not_fit_beside_the_others_are_an_error() -> None:
    world = World(start=2, most=2)
    world.add(4)
    with pytest.raises(ValueError, match="'copy_count' should be at most 2, as that many copies fit on 2 x"):
        World(start=2).add(3, start=3)
    with pytest.raises(ValueError, match=r"at most 4, .* beside those of the other base models, got 5"):
        world.add(1, start=5)
    world = World(start=2, most=2)
    world.add(4)
    with pytest.raises(ValueError, match=r"'max' should be at most 1, .* of 'max_instances' beside .* got 2"):
        world.add(3, scaled=(0, 2))


def test_accelerators_that_no_copy_can_use_do_not_count() -> None:
    """3 x 3 = 9 accelerators are fewer than the 12 of the instances, but each takes one copy only."""
    with pytest.raises(ValueError, match=r"'max' should be at most 3, .* fit on 3 x"):
        World(most=3).add(3, scaled=(1, 4))


def test_unknown_type_needs_the_most_of_them() -> None:
    with pytest.raises(ValueError, match=r"'max_instances' should be given, .* ml.g99.xlarge, got None"):
        World(1, None, UNKNOWN).add(1, scaled=(0, 3))
    for copies, expected in {(0, 3): (0, 2), (1, 3): (1, 2)}.items():
        world = World(1, 2, UNKNOWN)
        scaled = world.add(1, scaled=copies)
        assert (world.instances.range, world.instances.room(scaled)) == (expected, None)


def test_those_at_the_start_are_within_the_range() -> None:
    world = World(start=2)
    world.add(1, scaled=(1, 3))
    with pytest.raises(ValueError, match=r"'instance_count', .* from 1 to 1 for 1 to 3 copies, got 2"):
        world.instances.check_start()
    world.add(4)
    world.instances.check_start()


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 9)), min_size=1, max_size=4))
def test_no_instance_holds_more_than_it_has(bases: list[tuple[int, int]]) -> None:
    """Copies of 1, 2, 4 and 8 accelerators leave no gaps; others may."""
    world = World(4, None, InstanceType.ML_G5_48XLARGE)
    for accelerators, copies in bases:
        world.add(accelerators, scaled=(copies, max(1, copies)))
    found = world.instances.range
    assert found is not None
    least = ceil(sum(accelerators * copies for accelerators, copies in bases) / 8)
    assert least <= found[0] <= sum(copies for _, copies in bases)
    if all(accelerators in (1, 2, 4, 8) for accelerators, _ in bases):
        assert found[0] == least
