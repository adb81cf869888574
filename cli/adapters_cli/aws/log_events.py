"""Reading CloudWatch Logs: the events of several groups in the order of their times, once each."""

import heapq
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapters_cli.aws.account import Account

_LATE_SECONDS = 30.0
"""How much later than its own time an event may arrive."""


@dataclass(frozen=True, kw_only=True)
class LogEvent:
    """One event. `at` is in seconds since 1970."""

    at: float
    group: str
    stream: str
    message: str


class LogReader:
    """Reads groups again and again, and yields each event once.

    Of each group, one page is in memory at a time. CloudWatch sorts the events of a group by their times
    ([V] API reference of FilterLogEvents).

    missing:
        Groups that do not exist yet.
    """

    def __init__(self, account: Account, groups: Iterable[tuple[str, str | None]], *, since: float) -> None:
        self._client = account.client("logs")
        self._groups = list(groups)
        self._from = since
        self._seen: dict[str, float] = {}
        self.missing: set[str] = set()

    def read(self) -> Iterator[LogEvent]:
        """Yield the events that are new since the last call, in the order of their times."""
        start = self._from
        groups = [self._events(group, about, start) for group, about in self._groups]
        for name, event in heapq.merge(*groups, key=lambda found: found[1].at):
            if name not in self._seen:
                self._note(name, event.at)
                yield event

    def _note(self, name: str, at: float) -> None:
        """Remember an event as long as the next call would find it again."""
        self._seen[name] = at
        # The next call looks back a little: events of several hosts arrive out of order.
        self._from = max(self._from, at - _LATE_SECONDS)
        while (oldest := next(iter(self._seen))) != name and self._seen[oldest] < self._from:
            del self._seen[oldest]

    def _events(self, group: str, about: str | None, start: float) -> Iterator[tuple[str, LogEvent]]:
        """Yield the events of a group from a time on, each with its id."""
        query: dict[str, Any] = {"logGroupName": group, "startTime": int(start * 1000)}
        names = None
        if about is not None:
            query["filterPattern"] = json.dumps(about)
            # The pattern also finds longer names.
            names = re.compile(rf"(?<![A-Za-z0-9-]){re.escape(about)}(?![A-Za-z0-9-])")
        try:
            for page in self._client.get_paginator("filter_log_events").paginate(**query):
                self.missing.discard(group)
                for event in page["events"]:
                    at, message, stream = event["timestamp"] / 1000, event["message"], event["logStreamName"]
                    if at >= start and (names is None or names.search(message)):
                        # Some emulators give no id.
                        name = event.get("eventId") or f"{stream} {at} {message}"
                        yield name, LogEvent(at=at, group=group, stream=stream, message=message)
        except ClientError as error:
            if code_of(error) != "ResourceNotFoundException":
                raise
            self.missing.add(group)
