from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from local_sagemaker.ministack_patches.lambda_errors import raised_type, shown_log


def test_exception_of_a_python_handler_has_its_own_type(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    arn = function("class Odd(Exception): ...\ndef handler(event, context):\n    raise Odd('so it is')\n")
    answer = client("lambda").invoke(FunctionName=arn)
    assert answer["FunctionError"] == "Unhandled"
    said = json.loads(answer["Payload"].read())
    assert (said["errorType"], said["errorMessage"]) == ("Odd", "so it is")


@pytest.mark.parametrize(
    ("raised", "name"),
    [
        ("index.Odd: so it is\n", "Odd"),
        ("index.Outer.Inner: so it is\n", "Inner"),
        ("NameError: so it is. Did you mean: 'this'?\n", "NameError"),
        ("index.Odd: another message\n", None),
    ],
)
def test_type_is_read_from_the_last_line_of_the_traceback(raised: str, name: str | None) -> None:
    traceback = "Traceback (most recent call last):\n  File index.py\n"
    assert raised_type(f"a line\n{traceback}{raised}", "so it is") == name
    assert raised_type(f"{traceback}index.Odd\n", "") == "Odd"
    assert raised_type("so it is", "so it is") is None


def test_exception_of_a_function_that_logs_json_is_one_line(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    arn = function("def handler(event, context):\n    print('before')\n    raise KeyError('so it is')\n")
    lambda_ = client("lambda")
    lambda_.update_function_configuration(FunctionName=arn, LoggingConfig={"LogFormat": "JSON"})
    lambda_.invoke(FunctionName=arn)
    group = f"/aws/lambda/{arn.rpartition(':')[2]}"
    messages = [event["message"] for event in client("logs").filter_log_events(logGroupName=group)["events"]]
    before, error = (message for message in messages if "RequestId: " not in message)
    said = json.loads(error)
    assert (before, said["level"], said["errorType"]) == ("before", "ERROR", "KeyError")
    assert "raise KeyError" in "".join(said["stackTrace"])


@pytest.mark.parametrize(
    ("level", "runtime", "log"),
    [("FATAL", "nodejs24.x", ""), ("INFO", "nodejs24.x", "said"), ("FATAL", "python3.13", "said")],
)
def test_lines_of_node_are_logged_from_their_level_on(level: str, runtime: str, log: str) -> None:
    config = {"Runtime": runtime, "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": level}}
    assert shown_log(config, {"log": "said", "body": {}}, "id") == log
