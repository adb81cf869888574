"""The pages on troubleshooting have every message of the code, and nothing that the code does not say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from adapters_cli.main import app
from tests.troubleshooting.page import DOCS, INDEX, book, fits, written

pytestmark = pytest.mark.documents

REWRITE = "python -m tests.troubleshooting.page writes the pages"


def test_each_message_has_one_entry() -> None:
    wrong = {
        f"{message.module}: {message.text}": titles
        for message, titles in book().takers.items()
        if len(titles) != 1
    }
    assert wrong == {}, (
        "give it an entry in tests/troubleshooting/entries.toml, or a `match` that is narrower"
    )


def test_each_entry_has_a_message() -> None:
    made = book()
    unused = [
        (entry.title, pattern)
        for entry in made.entries
        for pattern in entry.match
        if not any(fits(pattern, message.text) for message in made.of_entry[entry])
    ]
    assert unused == []
    assert [group.title for group in made.groups if not made.of_group[group]] == []


def test_pages_are_as_they_would_be_written() -> None:
    for path, text in written().items():
        assert (DOCS / path).read_text() == text, REWRITE
    assert sorted(path.name for path in (DOCS / "troubleshooting").iterdir()) == sorted(
        Path(path).name for path in written() if path != INDEX
    )


def test_commands_of_remedies_exist() -> None:
    commands = get_command(app)
    texts = [text for entry in book().entries for text in (entry.do, entry.why)]
    wrong = []
    for line in re.findall(r"`(adapters [a-z][^`]*)`", "\n".join(texts)):
        words = re.sub(r"'[^']*'", "TEXT", line).split()
        command = _command(commands, words[1])
        known = {name for parameter in command.params for name in parameter.opts} if command else set()
        wrong += [line for word in words[2:] if word.startswith("-") and word not in known]
        wrong += [] if command else [line]
    assert wrong == []


def _command(commands: Any, name: str) -> Any:
    context = commands.make_context("adapters", [], resilient_parsing=True)
    command = commands.get_command(context, name)
    # A command is loaded when its line is parsed.
    return command and command.make_context(name, [], parent=context, resilient_parsing=True).command
