from __future__ import annotations

import base64
import queue
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from local_sagemaker.ministack_patches import lambda_logs


def test_log_group_that_was_deleted_does_not_come_back_with_a_functions_last_lines(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    lambda_, group = client("lambda"), "deleted-before"
    arn = function("def handler(event, context):\n    print('late')\n")
    lambda_.update_function_configuration(FunctionName=arn, LoggingConfig={"LogGroup": group})
    lambda_.invoke(FunctionName=arn)
    assert client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []


def test_all_lines_of_an_invocation_are_its_own(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    lambda_, arn = client("lambda"), function("def handler(event, context):\n    print(event, end='')\n")
    for number in range(3):
        answer = lambda_.invoke(FunctionName=arn, Payload=str(number), LogType="Tail")
        assert base64.b64decode(answer["LogResult"]).decode().splitlines() == [str(number)]


def test_lines_that_arrive_slowly_are_waited_for() -> None:
    lines: queue.Queue[str] = queue.Queue()

    def write() -> None:
        for line in ("one", "two", lambda_logs._END, "of the next"):
            time.sleep(0.1)
            lines.put(line)

    writer = threading.Thread(target=write)
    writer.start()
    worker = SimpleNamespace(_stderr_thread=writer, _stderr_queue=lines)
    assert lambda_logs.lines_of_invocation(worker) == "one\ntwo"
    writer.join()
    # Without the end, those of a process that has ended are kept.
    assert lambda_logs.lines_of_invocation(worker) == "of the next"
