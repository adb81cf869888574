"""Verdicts on canaries: what the requests of both versions say."""

from dataclasses import replace

import pytest

from adapter_fleet.fleet.planning.canaries import Verdict, due, judge, window
from adapter_fleet.fleet.state.fleet_settings import CanarySettings, ReleaseSettings
from adapter_fleet.fleet.state.routes import Candidate, Route, RoutedVersion
from adapter_fleet.fleet.state.sagemaker_port import Requests
from adapter_fleet.manifest.desired import Artifact

CANARY = CanarySettings(min_requests=100, max_error_increase=0.02, max_latency=1.5)
LATER = 2000.0
"""The step began at 0, and takes half an hour."""
ARTIFACT = Artifact(uri="s3://bucket/a.tar.gz")
CANDIDATE = Candidate(component="new", artifact=ARTIFACT, percent=5, since=0.0, declared=None, judged=0.0)
ROUTE = Route(
    adapter="a", versions=(RoutedVersion(component="live", artifact=ARTIFACT),), candidate=CANDIDATE
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
    judged, told = judge(ROUTE, found, CANARY, LATER)
    assert judged is verdict
    assert told.startswith(why)


def test_fewer_failures_are_not_held_against_the_time_that_answers_take() -> None:
    live = Requests(count=1000, errors=300, mean_latency=0.7)
    found = {"live": live, "new": Requests(count=100, mean_latency=1.5)}
    assert judge(ROUTE, found, CANARY, LATER)[0] is Verdict.ADVANCE


@pytest.mark.parametrize(
    ("since", "now", "begin", "end"),
    [(0.0, 600.0, 0.0, 420.0), (61.0, 719.0, 120.0, 480.0), (0.0, 90_030.0, 3_660.0, 89_820.0)],
    ids=["a minute begins", "within a minute", "for a day at most"],
)
def test_requests_count_in_whole_minutes_whose_metrics_have_come(
    since: float, now: float, begin: float, end: float
) -> None:
    route = replace(ROUTE, candidate=replace(CANDIDATE, since=since))
    assert window([route], now) == ({"live": begin, "new": begin}, end)


def test_step_is_judged_by_as_many_whole_minutes_as_it_takes() -> None:
    for since in (0.0, 1.0, 59.0):
        candidate = replace(CANDIDATE, since=since, judged=since)
        moment = due(candidate, ReleaseSettings(canary=CanarySettings(every_seconds=60.0)))
        assert moment is not None
        found, until = window([replace(ROUTE, candidate=candidate)], moment)
        assert until - found["new"] == 60.0


@pytest.mark.parametrize("component", ["live", "new"])
@pytest.mark.parametrize("now", [600.0, LATER])
def test_canary_is_held_with_the_reason_if_the_requests_to_either_version_are_unknown(
    component: str, now: float
) -> None:
    known = {"live": Requests(count=1000), "new": Requests(count=1000, errors=500)}
    found = {**known, component: Requests(unknown="CloudWatch does not have it")}
    assert judge(ROUTE, found, CANARY, now) == (Verdict.HOLD, "CloudWatch does not have it")


def test_version_that_does_worse_leaves_before_its_step_ends_and_none_advances_before() -> None:
    def verdict(errors: float, now: float) -> Verdict:
        found = {"live": Requests(count=1000), "new": Requests(count=100, errors=errors)}
        return judge(ROUTE, found, CANARY, now)[0]

    assert (verdict(50, 600.0), verdict(0, 600.0)) == (Verdict.ROLL_BACK, Verdict.HOLD)
    assert (verdict(0, 1979.0), verdict(0, 1980.0)) == (Verdict.HOLD, Verdict.ADVANCE)


def test_canary_is_looked_at_during_its_step_at_its_end_and_then_less_often() -> None:
    releases, looks, began = ReleaseSettings(canary=CanarySettings(every_seconds=600.0)), [], CANDIDATE
    for _ in range(14):
        moment = due(began, releases)
        assert moment is not None
        looks.append(moment - began.judged)
        began = replace(began, judged=moment)
    assert looks[:4] == [300.0, 300.0, 180.0, 390.0]
    assert looks[3:] == sorted(looks[3:])
    assert looks[-1] == 3600.0


def test_nothing_is_said_of_versions_without_metrics() -> None:
    assert judge(ROUTE, {}, CANARY, LATER)[0] is Verdict.HOLD


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
