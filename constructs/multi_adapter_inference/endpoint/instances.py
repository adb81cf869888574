"""The instances of an endpoint, and the copies of its base models on them."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, permutations

from aws_cdk import Annotations, CfnResource
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from adapter_fleet.common.validators import check_whole_number, holds_token
from multi_adapter_inference.models.compute import WHOLE, ComputeRequirements, Shares
from multi_adapter_inference.models.instance_type import InstanceType

_MOST_TYPES = 5


@dataclass(kw_only=True, eq=False)
class Copies:
    """The copies of one base model.

    of:
        The construct of the base model.
    compute:
        What a copy takes, by instance type.
    start:
        The number at the start. May be a token.
    scaled:
        The fewest and the most, if scaling changes the number.
    component:
        The resource, once it is there.
    """

    of: Construct
    compute: Mapping[InstanceType, ComputeRequirements]
    start: int
    scaled: tuple[int, int] | None = None
    component: CfnResource | None = None


_Number = Callable[[Copies], int]
"""Which number of copies: that at the start, the fewest or the most."""


class Instances:
    """The instances of an endpoint, and the copies that its base models have on them.

    SageMaker decides which instance a copy is on, and of which type an instance is. Synth takes it that the
    largest copies come first, and that all instances are of the type with the least room.
    """

    def __init__(
        self,
        types: Sequence[InstanceType],
        *,
        setting: str = "fallback_instance_types",
        start: int | None = None,
        fewest: int | None = None,
        most: int | None = None,
    ) -> None:
        """Take the types in their order, and the numbers at the start, at least and at most.

        setting:
            The name of the argument that has all types but the first.
        start:
            None for an endpoint of another app, whose instances are not known here.
        fewest, most:
            None for as many as the copies need.

        Raises ValueError for too many types, or for one twice.
        """
        if len(types) > _MOST_TYPES:
            raise ValueError(f"'{setting}' should be at most {_MOST_TYPES - 1}, got {len(types) - 1}")
        names = [each.name for each in types]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(
                f"'{setting}' should each have a type of its own, other than 'instance_type', got"
                f" {twice} twice"
            )
        self.types, self.start, self.fewest, self.most = tuple(types), start, fewest, most
        self._copies: list[Copies] = []

    @property
    def names(self) -> str:
        """The types in words."""
        return ", ".join(each.name for each in self.types)

    @property
    def pools(self) -> Sequence[sagemaker.CfnEndpointConfig.InstancePoolProperty] | None:
        """The property of the production variant; None for one type alone."""
        if len(self.types) == 1:
            return None
        return [
            sagemaker.CfnEndpointConfig.InstancePoolProperty(instance_type=each.name, priority=priority)
            for priority, each in enumerate(self.types, start=1)
        ]

    def add(self, copies: Copies) -> None:
        """Add the copies of a base model. Raises ValueError if they do not fit beside the others."""
        for type_ in self.types:
            copies.compute[type_].copies_on(type_)  # raises ValueError where not even one fits
        self._copies.append(copies)
        self._check(copies)

    def scale(self, copies: Copies, fewest: int, most: int) -> None:
        """Let the number of copies change. Raises ValueError if the most do not fit beside the others."""
        copies.scaled = fewest, most
        self._check(copies)

    @property
    def range(self) -> tuple[int, int] | None:
        """The fewest and the most instances of managed instance scaling; None if there is none."""
        if self.start is None or not self._managed:
            return None
        fewest, most = self.fewest, self.most or self._needed(_most)
        assert most is not None  # _check() saw it
        if fewest is None:
            # A larger type needs fewer, and more come as the copies need them.
            fewest = self._needed(_fewest, of_types=min) if self._copies else 1
        if fewest is None:
            # Nothing is known of the type, and the first copy needs an instance.
            fewest = min(1, max(map(_fewest, self._copies)))
        return fewest, most

    def check_start(self) -> None:
        """Raise ValueError if the number of instances at the start is none that scaling may have.

        Each base model changes which those are, so the last one comes before this check.
        """
        if self.fewest is not None and not self._managed:
            raise ValueError(
                "'min_instances' should have 'max_instances' beside it where no copies scale, got None"
            )
        if (allowed := self.range) is None or self.start is None or holds_token(self.start):
            return
        fewest, most = allowed
        if not fewest <= self.start <= most:
            fewest_copies, most_copies = sum(map(_fewest, self._copies)), sum(map(_most, self._copies))
            raise ValueError(
                f"'instance_count', the number of instances at the start, should be from {fewest} to {most}"
                f" for {fewest_copies} to {most_copies} copies, got {self.start}"
            )

    def room(self, copies: Copies) -> int | None:
        """Return how many of these copies fit beside the others; None if that is not known."""
        if (allowed := self.range) is not None:
            return self._room(copies, allowed[1], _most)
        return self._room(copies, self.start, _start)

    def warn_of_no_room(self) -> None:
        """Add a warning to each base model whose changes may find no room for their new copies."""
        for copies in self._copies:
            room, most = self.room(copies), _most(copies)
            alone = copies.scaled is None and most == 1
            if room is not None and (most == room or alone):
                Annotations.of(copies.of).add_warning_v2(
                    "multi-adapter-inference:no-room-for-rolling-update",
                    "a change of the base model or its container may interrupt requests or find no capacity:"
                    " it starts new copies, of at most half as many as there are, beside the old ones, and"
                    f" {most} of the {room} that fit on {self.range[1] if self.range else self.start} x"
                    f" {self.names} are in use; give more copies and room for another one",
                )

    def order(self) -> None:
        """Let base models of a stack wait for those with larger copies, which find less room afterwards."""
        type_ = self.types[0]
        size = {each.of: max(each.compute[type_].shares_of(type_) or WHOLE) for each in self._copies}
        for small, large in permutations(self._copies, 2):
            if small.component is None or large.component is None or size[small.of] >= size[large.of]:
                continue
            if small.component.stack is large.component.stack:
                small.component.add_resource_dependency(large.component)

    @property
    def _managed(self) -> bool:
        return self.most is not None or any(each.scaled is not None for each in self._copies)

    def _check(self, changed: Copies) -> None:
        """Raise ValueError if the copies fit on no number of instances that there may be."""
        self._check_room(changed, "copy_count", self.start, _start)
        if self.start is None or not self._managed:
            return
        check_whole_number("instance_count", self.start, at_least=1)
        for each in self._copies:
            check_whole_number("copy_count", each.start, at_least=1)
        if self.most is None and self._needed(_most) is None:
            raise ValueError(
                "'max_instances' should be given, as it is not known how many copies fit on one"
                f" {self.types[0].name}, got None"
            )
        self._check_room(changed, "copy_count" if changed.scaled is None else "max", self.most, _most)

    def _check_room(self, copies: Copies, setting: str, instances: int | None, number: _Number) -> None:
        room = self._room(copies, instances, number)
        if room is not None and number(copies) > room:
            scarcest = max(self.types, key=lambda type_: self._needed_of(type_, number) or 0)
            beside = " beside those of the other base models" if len(self._copies) > 1 else ""
            of = " of 'max_instances'" if number is _most else ""
            raise ValueError(
                f"'{setting}' should be at most {room}, as that many copies fit on {instances} x"
                f" {scarcest.name}{of}{beside}, got {number(copies)}; give more"
                f" '{'max_instances' if number is _most else 'instance_count'}'"
            )

    def _room(self, copies: Copies, instances: int | None, number: _Number) -> int | None:
        """Return how many of these copies fit on so many instances, whatever their type."""
        if instances is None or holds_token(instances):
            return None

        def needed(room: int) -> int | None:
            return self._needed(lambda each: room if each is copies else number(each))

        each_alone = [copies.compute[type_].copies_on(type_) for type_ in self.types]
        if needed(1) is None or None in each_alone:
            return None
        most = instances * max(filter(None, each_alone))
        return bisect_right(range(1, most + 1), instances, key=needed)  # type: ignore[arg-type]

    def _needed(self, number: _Number, *, of_types: Callable[[Sequence[int]], int] = max) -> int | None:
        """Return how many instances so many copies need, whatever their type; None if it is not known."""
        needed = [self._needed_of(type_, number) for type_ in self.types]
        known = [each for each in needed if each is not None]
        return of_types(known) if len(known) == len(needed) else None

    def _needed_of(self, type_: InstanceType, number: _Number) -> int | None:
        """Return the instances of one type that so many copies need; the largest copies come first."""
        sized = [(each.compute[type_].shares_of(type_), number(each)) for each in self._copies]
        if any(shares is None or holds_token(copies) for shares, copies in sized):
            return None
        left: list[Shares] = []  # of each instance
        for shares, copies in sorted(sized, key=lambda each: max(each[0] or WHOLE), reverse=True):
            assert shares is not None
            to_place = copies
            for index in count():
                if not to_place:
                    break
                if index == len(left):
                    left.append(WHOLE)
                placed = min(to_place, _fitting(shares, left[index]))
                left[index] = _without(left[index], shares, placed)
                to_place -= placed
        return len(left)


def _start(copies: Copies) -> int:
    return copies.start


def _fewest(copies: Copies) -> int:
    return copies.start if copies.scaled is None else copies.scaled[0]


def _most(copies: Copies) -> int:
    return copies.start if copies.scaled is None else copies.scaled[1]


def _fitting(shares: Shares, free: Shares) -> int:
    """Return how many copies fit into what is free of an instance."""
    return min(int(rest // share) for rest, share in zip(free, shares, strict=True) if share)


def _without(free: Shares, shares: Shares, copies: int) -> Shares:
    return tuple(rest - copies * share for rest, share in zip(free, shares, strict=True))
