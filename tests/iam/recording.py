"""What the embedded clouds of the tests record, held against the record."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.iam.by_hand import by_hand
from tests.iam.record import DENIED, Call, add, calls_of, read
from tests.profiles import PROFILE


class Recording:
    """What an embedded cloud records into a file, and the tests have not looked at yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0

    def check(self) -> None:
        """Fail if there was a call that is not on record; with `RECORD=1`, put it there."""
        seen = {call for line in self._new_lines() for call in calls_of(json.loads(line))}
        if os.environ.get("RECORD") == "1":
            add(call for call in seen if not call.piece.on.startswith(DENIED))
        unknown = sorted(
            call for call in seen - read() if not (_may_be_denied(call) or _asks_what_is_gone(call))
        )
        assert not unknown, (
            "AWS calls that are not in tests/iam/recorded_calls.json; RECORD=1 adds those that are allowed: "
            + "; ".join(map(str, unknown))
        )

    def _new_lines(self) -> list[str]:
        if not self.path.exists():
            return []
        with self.path.open() as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        self._read += len(whole.encode())
        return whole.splitlines()


def _may_be_denied(call: Call) -> bool:
    return call.piece.on.startswith(DENIED) and any(
        entry.is_about(call.who) and call.piece.action in entry.actions and f":{entry.on}/" in call.piece.on
        for entry in by_hand("denied")
    )


def _asks_what_is_gone(call: Call) -> bool:
    """Tell whether a pass asks a component that a listing still has, though it and its tags are gone."""
    denied = call.who == "fleet.RunPass" and call.piece.on.startswith(DENIED)
    asks = call.piece.action == "sagemaker:InvokeEndpoint" and ":inference-component/" in call.piece.on
    return PROFILE == "hostile" and denied and asks


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The AWS calls of functions, commands and the roles that the tests try."""
    return Recording(tmp_path_factory.mktemp("calls") / "calls.jsonl")


@pytest.fixture(scope="module", autouse=True)
def only_recorded_calls(recording: Recording) -> Iterator[None]:
    """Fail a file of tests in which a call is made that is not on record."""
    yield
    recording.check()
