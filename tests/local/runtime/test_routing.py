from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import pytest

from local_sagemaker.control_plane.hosting_port import Copy
from local_sagemaker.runtime.routing import pick_copy

BY_PREFIX = {
    "RoutingStrategy": "PREFIX_AWARE",
    "PrefixAwareRoutingConfig": {"PrefixLength": 1024, "ConcurrencyThreshold": 2},
}


@dataclass(eq=False)
class BusyCopy:
    outstanding: int = 0


def copies(*outstanding: int) -> list[Copy]:
    return [cast(Copy, BusyCopy(number)) for number in outstanding]


def test_requests_with_one_prefix_go_to_one_copy_whatever_follows() -> None:
    three, prefix = copies(0, 0, 0), b"system prompt".ljust(1024)
    assert len({pick_copy(three, BY_PREFIX, prefix + str(n).encode()) for n in range(50)}) == 1


def test_prefixes_are_spread_over_the_copies() -> None:
    three = copies(0, 0, 0)
    counts = Counter(pick_copy(three, BY_PREFIX, f"tenant {number}".encode()) for number in range(300))
    assert all(counts[copy] > 50 for copy in three)


def test_identifier_of_an_application_tells_its_prefixes_from_those_of_others() -> None:
    three = copies(0, 0, 0)
    assert len({pick_copy(three, BY_PREFIX, b"same", str(number)) for number in range(50)}) == 3


def test_request_for_a_busy_copy_goes_to_the_least_busy_one() -> None:
    three = copies(0, 0, 0)
    chosen = pick_copy(three, BY_PREFIX, b"same")
    cast(BusyCopy, chosen).outstanding = 1
    assert pick_copy(three, BY_PREFIX, b"same") is chosen
    cast(BusyCopy, chosen).outstanding = 2
    assert pick_copy(three, BY_PREFIX, b"same") is not chosen


def test_least_outstanding_requests_decide() -> None:
    three = copies(2, 1, 3)
    assert pick_copy(three, {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}, b"") is three[1]


@pytest.mark.parametrize("routing", [{"RoutingStrategy": "RANDOM"}, {}], ids=["random", "none"])
def test_every_copy_is_chosen_at_random(routing: dict[str, Any]) -> None:
    three = copies(0, 9, 0)
    assert {pick_copy(three, routing, b"") for _ in range(200)} == set(three)
