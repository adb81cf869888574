"""Reads what a base model's adapters were used for."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from adapter_fleet.aws.metric_reader import MetricReader
from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.naming import component_log_group
from adapter_fleet.usage.usage_table import DAY, HOUR, CountedTokens, Table, TokenPattern, day_of, new_table

_LONGEST_LINE = 1024
"""Longer lines are not searched for tokens: some regular expressions take very long for them."""

_NUMBERS = ("prompt", "completion")
_NUMBER = re.compile(r"\d{1,9}")


class UsageReader(MetricReader):
    """Reads CloudWatch's metrics and the log of a base model's containers."""

    def __init__(self, cloudwatch: Any, logs: Any) -> None:
        super().__init__(cloudwatch)
        self._logs = logs

    def table(
        self, components: Iterable[str], base: str, start: float, end: float, tokens: TokenPattern
    ) -> Table:
        """Return the use of components by day.

        The tokens of others that the base serves, such as of an adapter of a stack, are under their own
        names.
        """
        table = new_table()
        # Hours, unless the first one begins a day: CloudWatch's days are whole ones in UTC.
        period = int(HOUR if start % DAY else DAY)
        for component, at, requests in self.requests(components, start, end, period=period):
            table[day_of(at)][component].requests += requests
        for counted in self.tokens(base, start, end, tokens):
            usage = table[day_of(counted.at)][counted.component]
            usage.prompt_tokens += counted.prompt
            usage.completion_tokens += counted.completion
        return table

    def tokens(self, base: str, start: float, end: float, tokens: TokenPattern) -> Iterator[CountedTokens]:
        """Yield the tokens in the logs of the base's containers; its own are under its name."""
        for at, line in self._lines(component_log_group(base), tokens.text, start, end):
            if len(line) > _LONGEST_LINE:
                continue
            # Part of a line may be text of a caller.
            match = re.fullmatch(tokens.pattern, line.rstrip())
            # Somebody's pattern may find words where numbers should be, or nothing.
            if match is not None and all(_NUMBER.fullmatch(match[group] or "") for group in _NUMBERS):
                prompt, completion = (int(match[group]) for group in _NUMBERS)
                yield CountedTokens(
                    at=at, component=match["adapter"] or base, prompt=prompt, completion=completion
                )

    def _lines(self, group: str, text: str, start: float, end: float) -> Iterator[tuple[float, str]]:
        """Yield the time and the message of each event with a text; none if there is no such group."""
        query: dict[str, Any] = {
            "logGroupName": group,
            "startTime": int(start * 1000),
            # CloudWatch Logs includes the end, and the next reading begins with it.
            "endTime": int(end * 1000) - 1,
        }
        if text:
            query["filterPattern"] = json.dumps(text)
        try:
            for page in self._logs.get_paginator("filter_log_events").paginate(**query):
                for event in page["events"]:
                    yield event["timestamp"] / 1000, event["message"]
        except ClientError as error:
            if code_of(error) != "ResourceNotFoundException":
                raise
