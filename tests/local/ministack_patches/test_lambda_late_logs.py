from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_log_group_that_was_deleted_does_not_come_back_with_a_functions_last_lines(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    lambda_, group = client("lambda"), "deleted-before"
    arn = function("def handler(event, context):\n    print('late')\n")
    lambda_.update_function_configuration(FunctionName=arn, LoggingConfig={"LogGroup": group})
    lambda_.invoke(FunctionName=arn)
    assert client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
