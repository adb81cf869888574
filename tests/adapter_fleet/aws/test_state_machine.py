"""Executions of the state machine, and their names."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter_fleet.aws.state_machine import StateMachine, execution_name


@settings(max_examples=50)
@given(key=st.text(max_size=120))
def test_name_of_an_execution_is_one_that_step_functions_takes(key: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,80}", execution_name(key))


def test_names_of_long_keys_that_begin_alike_are_different() -> None:
    assert execution_name("a" * 100 + "1") != execution_name("a" * 100 + "2")
    assert execution_name("object-v/1") != execution_name("object-v.1")


def test_error_other_than_that_the_name_is_taken_is_raised() -> None:
    class Throttled:
        def start_execution(self, **_arguments: Any) -> None:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "StartExecution")

    with pytest.raises(ClientError, match="ThrottlingException"):
        StateMachine(Throttled(), "machine").start("object", "1")  # type: ignore[arg-type]
