from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from local_sagemaker.ministack_patches.lambda_errors import raised_type


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
    log = f"a line\nTraceback (most recent call last):\n  File index.py\n{raised}"
    assert raised_type(log, "so it is") == name


def test_exception_without_a_message_has_a_type() -> None:
    assert raised_type("Traceback (most recent call last):\n  File index.py\nindex.Odd\n", "") == "Odd"


def test_log_without_a_traceback_has_no_type() -> None:
    assert raised_type("so it is", "so it is") is None
