"""Canaries: whether a version that answers a share of the callers does as well as the one before."""

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum

from adapter_fleet.fleet.state.fleet_settings import CanarySettings, ReleaseSettings
from adapter_fleet.fleet.state.routes import Candidate, Route
from adapter_fleet.fleet.state.sagemaker_port import Requests

_MINUTE = 60.0
_LATE_SECONDS = 180.0
"""How late the metrics of a minute may come. No minute counts before."""
_LOOK_SECONDS = 300.0
"""How often a candidate that does worse is looked for during a step."""
_LONGEST_WINDOW_SECONDS = 86400.0
"""CloudWatch keeps minutes for 15 days, and each costs a little to read."""
_LONGEST_HOLD_SECONDS = 3600.0


class Verdict(StrEnum):
    """What the requests of a step say of a candidate."""

    ADVANCE = "advance"
    """It did as well as the version before, and gets a larger share."""
    ROLL_BACK = "roll back"
    """It did worse."""
    HOLD = "hold"
    """There were too few requests to say. Its share stays."""


def due(candidate: Candidate | None, releases: ReleaseSettings) -> float | None:
    """Return when a candidate is judged; None for one whose share people say."""
    if candidate is None or candidate.declared is not None or releases.canary is None:
        return None
    end = _end(candidate, releases.canary)
    if candidate.judged < end:
        return min(candidate.judged + _LOOK_SECONDS, end)
    # A canary that is held is judged less and less often.
    held = min(0.5 * (candidate.judged - candidate.since), _LONGEST_HOLD_SECONDS)
    return candidate.judged + max(_LOOK_SECONDS, held)


def window(routes: Iterable[Route], now: float) -> tuple[dict[str, float], float]:
    """Return since when the requests of both components of each route count, and until when.

    Only whole minutes count: in a part of one, the metrics do not tell who answered before.
    """
    since = {
        version.component: _next_minute(max(route.candidate.since, now - _LONGEST_WINDOW_SECONDS))
        for route in routes
        if route.candidate is not None
        for version in route.answering
    }
    return since, (now - _LATE_SECONDS) // _MINUTE * _MINUTE


def judge(
    route: Route, found: Mapping[str, Requests], canary: CanarySettings, now: float
) -> tuple[Verdict, str]:
    """Compare a candidate with the version that answers the others, in the same minutes; also say why."""
    for version in route.answering:
        if unknown := found.get(version.component, Requests()).unknown:
            return Verdict.HOLD, unknown
    verdict, why = _compared(route, found, canary)
    ends = route.candidate is not None and now >= _end(route.candidate, canary)
    return (verdict, why) if ends or verdict is Verdict.ROLL_BACK else (Verdict.HOLD, "")


def _next_minute(moment: float) -> float:
    return math.ceil(moment / _MINUTE) * _MINUTE


def _end(candidate: Candidate, canary: CanarySettings) -> float:
    """Return when the metrics of the whole minutes of a step have come."""
    return _next_minute(candidate.since) + canary.every_seconds + _LATE_SECONDS


def _compared(route: Route, found: Mapping[str, Requests], canary: CanarySettings) -> tuple[Verdict, str]:
    assert route.candidate is not None  # it is due
    live = found.get(route.live.component, Requests())
    candidate = found.get(route.candidate.component, Requests())
    for who, requests in (("it", candidate), ("the version before", live)):
        if requests.count < canary.min_requests:
            wanted = f"{canary.min_requests} wanted"
            return Verdict.HOLD, f"{who} got {requests.count:.0f} requests, {wanted}"
    failed, before = candidate.errors / candidate.count, live.errors / live.count
    if failed - before > canary.max_error_increase:
        return (
            Verdict.ROLL_BACK,
            f"{failed:.1%} of its {candidate.count:.0f} requests failed, and {before:.1%} of the"
            f" {live.count:.0f} of the version before",
        )
    # Requests that fail take another time, and count in the mean.
    alike = before - failed <= canary.max_error_increase
    if candidate.mean_latency is None or not live.mean_latency or not alike:
        return Verdict.ADVANCE, ""
    times = candidate.mean_latency / live.mean_latency
    if times > canary.max_latency:
        return Verdict.ROLL_BACK, f"its requests took {times:.2f} times as long as of the version before"
    return Verdict.ADVANCE, ""
