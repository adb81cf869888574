"""Troubleshooting quotes messages that the code has, and names commands that there are."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from adapters_cli.main import app

pytestmark = pytest.mark.documents

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
ROOMS = ("constructs", "lambda", "rules", "cli", "local", "stacks")
TELLING = 8
"""Characters that the longest part of a message has, so that a reader and this test find it."""
BETWEEN_LINES = re.compile(r"""["']\s*\n\s*f?["']""")


def test_quoted_message_is_one_of_the_code() -> None:
    sources = [path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    code = "\n".join(re.sub(r"\{[^{}]*\}", "…", BETWEEN_LINES.sub("", source)) for source in sources)
    quoted = re.findall(r"^- `(.+)`$", PAGE, re.MULTILINE)
    assert len(quoted) > 30
    assert [message for message in quoted if not re.search(_pattern(message), code)] == []
    assert [message for message in quoted if max(map(len, message.split("…"))) < TELLING] == []


def _pattern(message: str) -> str:
    """Return a pattern of the parts of a message, one after the other on a line."""
    return ".{0,300}".join(re.escape(part) for part in message.split("…"))


def test_command_of_a_remedy_exists() -> None:
    commands, wrong = get_command(app), []
    for line in re.findall(r"`(adapters [a-z][^`]*)`", " ".join(PAGE.split())):
        words = re.sub(r"'[^']*'", "TEXT", line).split()
        command = _command(commands, words[1])
        known = {name for parameter in command.params for name in parameter.opts} if command else set()
        if command is None or any(word.startswith("-") and word not in known for word in words[2:]):
            wrong.append(line)
    assert wrong == []


def _command(commands: Any, name: str) -> Any:
    context = commands.make_context("adapters", [], resilient_parsing=True)
    command = commands.get_command(context, name)
    # A command is loaded when its line is parsed.
    return command and command.make_context(name, [], parent=context, resilient_parsing=True).command
