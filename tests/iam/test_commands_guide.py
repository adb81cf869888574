"""The security guide says what each command calls, and has policies that allow it."""

from __future__ import annotations

import os

import pytest

from tests.iam import record
from tests.iam.by_hand import by_hand
from tests.iam.check import statement_faults
from tests.iam.commands_guide import POLICIES, calls_of, commands, in_guide, statements, text, write
from tests.iam.pieces import pieces_of

WITHOUT_CALLS = {"token"}
"""It signs a token, and calls nothing."""


def test_the_guide_has_the_calls_of_every_command() -> None:
    if os.environ.get("RECORD") == "1":
        write()
    assert in_guide() == text(), "RECORD=1 writes it"


def test_every_command_is_on_record() -> None:
    assert {command for command in commands() if not calls_of(command)} <= WITHOUT_CALLS
    assert {call.who for call in record.read() if call.part == "commands"} <= set(commands())
    assert {command for entry in by_hand().commands for command in entry.roles} <= set(commands())


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_to_copy_allows_what_its_commands_call_and_nothing_else(name: str) -> None:
    called = {piece for command in POLICIES[name] for piece in calls_of(command)}
    allowed = {
        piece.action
        for statement in statements(POLICIES[name])
        for piece in pieces_of(statement, [statement["Resource"]])
    }
    assert allowed == {piece.action for piece in called}
    faults = [
        fault for one in statements(POLICIES[name]) for fault in statement_faults(one, [one["Resource"]])
    ]
    assert faults == []
