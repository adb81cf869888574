"""What the command asks for before it makes anything."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from verify_aws.__main__ import main

BOUNDS = ["--price-per-hour", "1", "--price-date", "2026-11-01", "--cost-cap", "10", "--time-limit", "60"]


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("an account was asked")

    monkeypatch.setattr(boto3, "Session", refused)


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    def answer(answers: dict[str, str]) -> None:
        def reply(question: str) -> str:
            return next(reply for start, reply in answers.items() if question.startswith(start))

        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr("builtins.input", reply)

    return answer


@pytest.mark.parametrize("missing", range(0, len(BOUNDS), 2))
def test_bound_that_is_not_given_is_asked_for(missing: int, capsys: pytest.CaptureFixture[str]) -> None:
    given = BOUNDS[:missing] + BOUNDS[missing + 2 :]
    assert main([*given, "--yes"]) == 2
    assert f"{BOUNDS[missing]} should be given" in capsys.readouterr().err


def test_cap_that_is_too_small_stops_before_any_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BOUNDS, "--cost-cap", "2", "--yes"]) == 2
    assert "'time_limit_minutes' should be at most 30 with a cap of 2, got 60" in capsys.readouterr().err


def test_person_is_asked_for_each_bound(
    at_a_terminal: Callable[[dict[str, str]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    at_a_terminal(
        {
            "price of one": "3",
            "day of that": "2026-11-01",
            "the most that the run": "4",
            "the most minutes": "90",
        }
    )
    assert main([]) == 2
    assert "2 instances x 3 an hour (price of 2026-11-01) x (90 + 30 minutes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--only", "nothing"], "unknown experiment nothing; known: references, creation"),
        (["--container", "lmi", "--version", "7"], "should be one of 13, 14"),
        (["--container", "lmi", "--version", "x"], "'version' should be a number"),
        (["--model", "/nowhere"], "should hold a Llama-like model"),
    ],
)
def test_wrong_argument_stops_before_any_call(
    wrong: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*BOUNDS, "--yes", *wrong]) == 2
    assert said in capsys.readouterr().err


def test_other_file_is_no_transcript(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"format": "something else"}\n')
    assert main(["--summary", str(other)]) == 2
    assert "should be a transcript" in capsys.readouterr().err
