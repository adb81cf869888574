"""The entry points, as far as they do anything themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from adapter_fleet import handlers
from tests.adapter_fleet.fake_service import FakeClock


class Looks:
    """An intake that is complete after some looks."""

    def __init__(self, number: int) -> None:
        self.left = number

    def is_complete(self, _event: Mapping[str, Any]) -> dict[str, Any]:
        self.left -= 1
        return {"IsComplete": self.left < 0}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(handlers, "WallClock", lambda: clock)
    monkeypatch.setenv("STATE_MACHINE_ARN", "machine")
    return clock


def answer(monkeypatch: pytest.MonkeyPatch, looks: int) -> dict[str, Any]:
    monkeypatch.setattr(handlers, "_intake", lambda _machine: Looks(looks))
    return handlers.is_complete({}, None)  # type: ignore[arg-type]


def test_deployment_learns_at_once_that_the_fleet_is_done(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = clock.now()
    assert answer(monkeypatch, looks=0) == {"IsComplete": True}
    assert clock.now() == started


def test_end_is_seen_while_the_deployment_asks(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer(monkeypatch, looks=3) == {"IsComplete": True}


def test_deployment_is_answered_within_seconds(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    started = clock.now()
    assert answer(monkeypatch, looks=1000) == {"IsComplete": False}
    assert clock.now() - started < 5.0
