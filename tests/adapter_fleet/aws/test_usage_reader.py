from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapter_fleet.aws.usage_reader import UsageReader
from adapter_fleet.usage.usage_table import ANSWERED, TokenPattern

PATTERN = TokenPattern.of(r"lora=(?P<adapter>\S*) in:(?P<prompt>\S+)(?: out:(?P<completion>\S+))?")


class FakeLogs:
    """CloudWatch Logs with one line."""

    def __init__(self, line: str) -> None:
        self._line = line

    def get_paginator(self, operation: str) -> FakeLogs:
        assert operation == "filter_log_events"
        return self

    def paginate(self, **_query: Any) -> Iterator[dict[str, Any]]:
        yield {"events": [{"timestamp": 1000, "message": self._line}]}


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("lora=p-acme in:7 out:5", [("p-acme", 7, 5)]),
        ("lora= in:7 out:5", [("base", 7, 5)]),
        ("lora=p-acme in:7", []),
        ("lora=p-acme in:none out:5", []),
        ("started", []),
        # A number has nine digits at most, and a line 1,024 characters.
        (f"lora=p-acme in:{'9' * 9} out:5", [("p-acme", 999_999_999, 5)]),
        (f"lora=p-acme in:{'9' * 10} out:5", []),
        (f"lora={'a' * 1000} in:7 out:5", [("a" * 1000, 7, 5)]),
        (f"lora={'a' * 1024} in:7 out:5", []),
    ],
    ids=lambda value: str(value)[:30],
)
def test_lines_without_numbers_tell_no_tokens(line: str, tokens: list[tuple[str, int, int]]) -> None:
    assert told(line) == tokens


@pytest.mark.parametrize(
    ("adapter", "component"),
    [("p-acme", "p-acme"), ("p-acme.2", "p-acme"), ("p-acme.2.b", "p-acme"), ("", "base")],
)
def test_line_of_the_engine_tells_the_tokens_of_a_component(adapter: str, component: str) -> None:
    line = f"INFO a.scheduler: answered adapter={adapter} prompt_tokens=7 completion_tokens=5\n"
    assert told(line, ANSWERED) == [(component, 7, 5)]


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("prompt: 'lora=p-acme in:7 out:5", PATTERN),
        ("lora=p-acme in:7 out:5 was refused", PATTERN),
        ("prompt: 'INFO s: answered adapter=p-acme prompt_tokens=7 completion_tokens=5", ANSWERED),
        ("INFO s: answered adapter=p-acme prompt_tokens=7 completion_tokens=5'", ANSWERED),
    ],
)
def test_text_of_a_caller_within_a_line_tells_no_tokens(line: str, pattern: TokenPattern) -> None:
    assert told(line, pattern) == []


def told(line: str, pattern: TokenPattern = PATTERN) -> list[tuple[str, int, int]]:
    """Return the component and the tokens that a line tells."""
    reader = UsageReader(None, FakeLogs(line))  # logs alone are read
    counted = reader.tokens("base", 0.0, 60.0, pattern)
    return [(one.component, one.prompt, one.completion) for one in counted]
