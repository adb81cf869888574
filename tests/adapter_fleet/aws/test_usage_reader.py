from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapter_fleet.aws.usage_reader import UsageReader
from adapter_fleet.usage.usage_table import TokenPattern

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
    ],
)
def test_lines_without_numbers_tell_no_tokens(line: str, tokens: list[tuple[str, int, int]]) -> None:
    reader = UsageReader(None, FakeLogs(line), None)  # type: ignore[arg-type]  # logs alone are read
    told = reader.tokens("base", 0.0, 60.0, PATTERN)
    assert [(one.component, one.prompt, one.completion) for one in told] == tokens
