"""Reading CloudWatch Logs to the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def test_reader_of_pages_gets_every_event_once(client: Callable[..., Any]) -> None:
    logs, group = client("logs"), "pages"
    now = int(time.time() * 1000)
    logs.create_log_group(logGroupName=group)
    for stream in ("one", "other"):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        # Five lines have the same time.
        events = [{"timestamp": now + n // 5, "message": f"{stream} {n}"} for n in range(20)]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=now, PaginationConfig={"PageSize": 7}
    )
    read = [event for found in pages for event in found["events"]]
    assert len(read) == len({event["message"] for event in read}) == 40
    assert [event["timestamp"] for event in read] == sorted(event["timestamp"] for event in read)
    logs.delete_log_group(logGroupName=group)


def test_equal_lines_of_a_function_have_ids_of_their_own(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    arn = function("def handler(event, context):\n    print('same')\n    print('same')\n")
    lambda_, logs, group = client("lambda"), client("logs"), "equal-lines"
    logs.create_log_group(logGroupName=group)
    lambda_.update_function_configuration(FunctionName=arn, LoggingConfig={"LogGroup": group})
    lambda_.invoke(FunctionName=arn)
    found = logs.filter_log_events(logGroupName=group, filterPattern="same")["events"]
    logs.delete_log_group(logGroupName=group)
    assert len(found) == len({event["eventId"] for event in found}) == 2
