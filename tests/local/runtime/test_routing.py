from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from local_sagemaker.control_plane.hosting_port import Copy
from local_sagemaker.runtime.routing import pick_copy


@dataclass(eq=False)
class BusyCopy:
    outstanding: int = 0


def copies(*outstanding: int) -> list[Copy]:
    return [cast(Copy, BusyCopy(number)) for number in outstanding]


def test_least_outstanding_requests_decide() -> None:
    three = copies(2, 1, 3)
    assert pick_copy(three, {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}) is three[1]


@pytest.mark.parametrize("routing", [{"RoutingStrategy": "RANDOM"}, {}], ids=["random", "none"])
def test_every_copy_is_chosen_at_random(routing: dict[str, Any]) -> None:
    three = copies(0, 9, 0)
    assert {pick_copy(three, routing) for _ in range(200)} == set(three)
