"""Reading CloudWatch Logs: the events of several groups in the order of their times, once each."""

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

    missing:
        Groups that do not exist yet.
    """

    def __init__(self, account: Account, groups: Iterable[tuple[str, str | None]], *, since: float) -> None:
        self._client = account.client("logs")
        self._groups = list(groups)
        self._from = since
        self._seen: dict[str, float] = {}
        self.missing: set[str] = set()

    def read(self) -> list[LogEvent]:
        """Return the events that are new since the last call, in the order of their times."""
        found = sorted(
            (event for group, about in self._groups for event in self._new(group, about)),
            key=lambda event: event.at,
        )
        if found:
            # The next call looks back a little: events of several hosts arrive out of order.
            self._from = max(self._from, found[-1].at - _LATE_SECONDS)
            self._seen = {name: at for name, at in self._seen.items() if at >= self._from}
        return found

    def _new(self, group: str, about: str | None) -> Iterator[LogEvent]:
        query: dict[str, Any] = {"logGroupName": group, "startTime": int(self._from * 1000)}
        names = None
        if about is not None:
            query["filterPattern"] = json.dumps(about)
            # The pattern also finds longer names.
            names = re.compile(rf"(?<![A-Za-z0-9-]){re.escape(about)}(?![A-Za-z0-9-])")
        try:
            for page in self._client.get_paginator("filter_log_events").paginate(**query):
                for event in page["events"]:
                    at = event["timestamp"] / 1000
                    told = names is None or names.search(event["message"])
                    # Some emulators give no id.
                    name = event.get("eventId") or f"{event['logStreamName']} {at} {event['message']}"
                    if told and name not in self._seen and at >= self._from:
                        self._seen[name] = at
                        yield LogEvent(
                            at=at, group=group, stream=event["logStreamName"], message=event["message"]
                        )
        except ClientError as error:
            if code_of(error) != "ResourceNotFoundException":
                raise
            self.missing.add(group)
        else:
            self.missing.discard(group)


def messages(
    account: Account, group: str, text: str, start: float, end: float
) -> Iterator[tuple[float, str]]:
    """Yield the time and the message of each event with a text; none if there is no such group."""
    query: dict[str, Any] = {
        "logGroupName": group,
        "startTime": int(start * 1000),
        "endTime": int(end * 1000),
    }
    if text:
        query["filterPattern"] = json.dumps(text)
    try:
        for page in account.client("logs").get_paginator("filter_log_events").paginate(**query):
            for event in page["events"]:
                yield event["timestamp"] / 1000, event["message"]
    except ClientError as error:
        if code_of(error) != "ResourceNotFoundException":
            raise
