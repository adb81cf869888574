"""Verdicts on canaries: what the requests of both versions say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapter_fleet.fleet.planning.canaries import Verdict, due, judge, window
from adapter_fleet.fleet.state.fleet_settings import CanarySettings, ReleaseSettings
from adapter_fleet.fleet.state.routes import Candidate, Route, RoutedVersion
from adapter_fleet.fleet.state.sagemaker_port import Requests
from adapter_fleet.manifest.desired import Artifact

CANARY = CanarySettings(min_requests=100, max_error_increase=0.02, max_latency=1.5)
ARTIFACT = Artifact(uri="s3://bucket/a.tar.gz")
ROUTE = Route(
    adapter="a",
    versions=(RoutedVersion(component="live", artifact=ARTIFACT),),
    candidate=Candidate(component="new", artifact=ARTIFACT, percent=5, since=0.0, declared=None, judged=0.0),
)


@pytest.mark.parametrize(
    ("live", "new", "verdict", "why"),
    [
        ((1000, 10, 1.0), (100, 3, 1.5), Verdict.ADVANCE, ""),
        ((1000, 10, 1.0), (100, 4, 1.0), Verdict.ROLL_BACK, "4.0% of its 100 requests failed, and 1.0% of"),
        ((1000, 0, 1.0), (100, 0, 1.6), Verdict.ROLL_BACK, "its requests took 1.60 times as long"),
        ((1000, 0, 1.0), (99, 99, 9.0), Verdict.HOLD, "it got 99 requests, 100 wanted"),
        ((99, 0, 1.0), (100, 0, 1.0), Verdict.HOLD, "the version before got 99 requests, 100 wanted"),
        ((1000, 0, None), (100, 0, 9.0), Verdict.ADVANCE, ""),
    ],
)
def test_canary_is_judged_beside_the_version_before(
    live: tuple[int, int, float | None], new: tuple[int, int, float | None], verdict: Verdict, why: str
) -> None:
    found = {
        component: Requests(count=count, errors=errors, mean_latency=latency)
        for component, (count, errors, latency) in (("live", live), ("new", new))
    }
    judged, told = judge(ROUTE, found, CANARY)
    assert judged is verdict
    assert told.startswith(why)


def test_fewer_failures_are_not_held_against_the_time_that_answers_take() -> None:
    live = Requests(count=1000, errors=300, mean_latency=0.7)
    found = {"live": live, "new": Requests(count=100, mean_latency=1.5)}
    assert judge(ROUTE, found, CANARY)[0] is Verdict.ADVANCE


def test_requests_count_by_whole_minutes_since_the_share_began() -> None:
    began = replace(ROUTE.candidate, since=100_000.0, judged=100_000.0)  # type: ignore[type-var]
    route = replace(ROUTE, candidate=began)
    assert window([route], 100_630.0) == ({"live": 100_000.0, "new": 100_000.0}, 100_500.0)
    since, until = window([route], 2_000_000.0)
    assert (set(since.values()), until) == ({until - 86_400.0}, 1_999_860.0)


def test_canary_that_is_held_is_judged_less_often() -> None:
    releases, waits, began = ReleaseSettings(canary=CanarySettings(every_seconds=600.0)), [], ROUTE.candidate
    assert began is not None
    for _ in range(12):
        moment = due(began, releases)
        assert moment is not None
        waits.append(moment - began.judged)
        began = replace(began, judged=moment)
    assert waits[:2] == [720.0, 720.0]
    assert waits == sorted(waits)
    assert waits[-1] == 3720.0


def test_nothing_is_said_of_versions_without_metrics() -> None:
    assert judge(ROUTE, {}, CANARY)[0] is Verdict.HOLD


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": ()}, "'steps' should be rising shares from 1 to 99, got []"),
        ({"steps": (25, 5)}, "'steps' should be rising shares"),
        ({"steps": (5, 100)}, "'steps' should be rising shares"),
        ({"min_requests": 0}, "'min_requests' should be at least 1, got 0"),
        ({"max_error_increase": 1.5}, "'max_error_increase' should be from 0 to 1, got 1.5"),
        ({"max_latency": 0.9}, "'max_latency' should be at least 1, got 0.9"),
    ],
)
def test_settings_that_make_no_canary_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        CanarySettings(**given)  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)
