"""Which generation a fleet works on."""

from __future__ import annotations

import pytest

from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.fleet.state.generations import (
    Generation,
    Outcome,
    Request,
    Source,
    Target,
    active_generation,
)

TARGET = Target(endpoint="endpoint", base="base", prefix="p", settings=FleetSettings())


def generation(number: int, outcome: Outcome, *, standing: int | None = None) -> Generation:
    """Return a generation that came when `standing` was the one that stood, the one before it by default."""
    request = Request(delivery=str(number), source=Source.OBJECT, target=TARGET, at=float(number))
    before = number - 1 if standing is None else standing
    return Generation(number=number, request=request, outcome=outcome, standing=before)


BEFORE = generation(1, Outcome.CONVERGED)


@pytest.mark.parametrize(
    ("newest", "active"),
    [
        (generation(2, Outcome.OPEN), 2),
        (generation(2, Outcome.CONVERGED), 2),
        (generation(2, Outcome.REFUSED), 1),
        (generation(2, Outcome.FAILED), None),
    ],
)
def test_newest_counts_unless_it_was_refused(newest: Generation, active: int | None) -> None:
    found = active_generation(newest, {1: BEFORE, 2: newest}.get)
    assert (found.number if found is not None else None) == active


def test_what_was_under_way_goes_on_after_any_number_of_refused_ones() -> None:
    under_way = generation(2, Outcome.SUPERSEDED)
    # The third was refused when the fourth had come, the fifth came when both were.
    refused = [
        generation(number, Outcome.REFUSED, standing=standing)
        for number, standing in ((3, 2), (4, 3), (5, 2))
    ]
    known = {made.number: made for made in (BEFORE, under_way, *refused)}
    assert active_generation(refused[-1], known.get) == under_way


@pytest.mark.parametrize("before", [None, generation(1, Outcome.FAILED)])
def test_first_manifest_that_is_refused_leaves_nothing_to_do(before: Generation | None) -> None:
    assert active_generation(generation(2, Outcome.REFUSED), {1: before}.get) is None
