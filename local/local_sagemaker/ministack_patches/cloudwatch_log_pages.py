"""FilterLogEvents answers in pages, and each event has an id.

Faults of ministack: it answers with the first 10,000 events, or `limit`, and with no token for the others. A
client that reads to the end, as `adapters logs` does, would miss them without a word. Lines of functions
and containers have no id, so that a client which reads twice, as that command does, could not tell an event
from another one with the same text.
"""

import itertools
import json
from typing import Any

from ministack.services import cloudwatch_logs

from local_sagemaker.ministack_patches.internals import replaces

_MOST = 10_000
_OK = 200


def install() -> None:
    """Install both."""
    _install_ids()
    _install_pages()


def _install_ids() -> None:
    numbers = itertools.count(1)

    @replaces(cloudwatch_logs, "_append_log_events")
    def append_with_ids(append: Any, stream: Any, events: list[dict[str, Any]]) -> None:
        for event in events:
            event.setdefault("eventId", f"{next(numbers):056d}")
        append(stream, events)


def _install_pages() -> None:
    """Give each page but the last one a token: the time where the next page begins, and how many to skip."""

    @replaces(cloudwatch_logs, "_filter_log_events")
    def filter_in_pages(filtered: Any, data: dict[str, Any]) -> Any:
        skip, request = 0, {**data, "limit": _MOST}
        if token := request.pop("nextToken", None):
            begin, _, skipped = token.partition("-")
            request["startTime"], skip = int(begin), int(skipped)
        status, headers, body = filtered(request)
        if status != _OK:
            return status, headers, body
        found = json.loads(body)
        events = found["events"]
        end = skip + min(data.get("limit", _MOST), _MOST)
        found["events"] = events[skip:end]
        if found["events"] and (end < len(events) or len(events) == _MOST):
            last = events[:end][-1]["timestamp"]
            seen = sum(event["timestamp"] == last for event in events[:end])
            found["nextToken"] = f"{last}-{seen}"
        return status, headers, json.dumps(found, ensure_ascii=False).encode()
