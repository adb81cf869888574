"""Judges the canaries whose step has ended, by the requests of its minutes."""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

from adapter_fleet.common.bounded_text import bounded
from adapter_fleet.fleet.planning.canaries import Verdict, due, judge, window
from adapter_fleet.fleet.planning.releases import Versions
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.state.routes import Route
from adapter_fleet.fleet.state.sagemaker_port import Requests, ServiceError
from adapter_fleet.manifest.desired import Artifact

_HELD_BYTES = 300


class CanaryJudge:
    """What a pass finds about canaries.

    began:
        When the pass read the routes.
    worse:
        By component, the artifact of a canary that has ended, and why.
    advances:
        The components of canaries whose next step is due.
    """

    def __init__(self, session: Session, versions: Versions, *, began: float) -> None:
        self._session, self._versions, self._began = session, versions, began
        self.worse: dict[str, tuple[Artifact, str]] = {}
        self.advances: set[str] = set()

    def judge(self, routes: Collection[Route]) -> list[Route]:
        """Judge the canaries of routes; return the routes of those that were judged, with the verdict."""
        canary = self._versions.releases.canary
        routes = [route for route in routes if (self.due(route) or math.inf) <= self._began]
        if canary is None or not routes:
            return []
        found, trouble = self._requests(routes)
        judged = []
        for route in routes:
            candidate = route.candidate
            verdict, why = (Verdict.HOLD, trouble) if trouble else judge(route, found, canary, self._began)
            assert candidate is not None  # it is due
            if verdict is Verdict.ROLL_BACK:
                self.worse[candidate.component] = candidate.artifact, why
            elif verdict is Verdict.ADVANCE:
                self.advances.add(candidate.component)
            held = why if verdict is Verdict.HOLD else ""
            judged.append(replace(route, candidate=replace(candidate, judged=self._began, held=held)))
        return judged

    def due(self, route: Route) -> float | None:
        """Return when the candidate of a route is judged; None for never."""
        if route.candidate is None:
            return None
        want = self._versions.wanted.get(route.candidate.component)
        # The manifest may have taken the canary over by hand since.
        by_hand = want is None or want.percent is not None
        return None if by_hand else due(route.candidate, self._versions.releases)

    def _requests(self, routes: list[Route]) -> tuple[Mapping[str, Requests], str]:
        """Return the requests to both versions of each route, or why they are not known."""
        try:
            return self._session.service.requests(*window(routes, self._began)), ""
        except ServiceError as error:
            return {}, bounded(str(error), _HELD_BYTES)
