"""The pages on troubleshooting have every message of the code, and nothing that the code does not say."""

from __future__ import annotations

import functools
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from adapters_cli.main import app
from tests.troubleshooting.messages import Message, messages
from tests.troubleshooting.page import DOCS, INDEX, Entry, book, fits, written

REWRITE = "python -m tests.troubleshooting.page writes the pages"


# --- the messages


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


def test_messages_of_all_packages_are_found() -> None:
    packages = Counter(message.module.partition("/")[0] for message in messages())
    assert min(packages.values()) > 100
    assert set(packages) == {"multi_adapter_inference", "adapter_fleet", "adapters_cli", "local_sagemaker"}


@pytest.mark.parametrize(
    ("module", "text"),
    [
        # Raised with a constant in it, raised, given to a decision, kept in a variable, and a finding.
        ("adapter_fleet/common/naming.py", "'…' should have at most 63 characters, got …: …"),
        ("adapter_fleet/fleet/requests/is_complete.py", "the registry has lost generation …; deploy again"),
        ("adapter_fleet/fleet/planning/decide.py", "the container cannot update it in place"),
        (
            "adapters_cli/commands/apply.py",
            "publish them first: adapters publish s3://BUCKET/PREFIX --manifest …",
        ),
        ("adapters_cli/preflight/checks/model.py", "there is no bucket '…'"),
    ],
)
def test_message_is_read_from_the_code(module: str, text: str) -> None:
    assert (module, text) in {(message.module, message.text) for message in messages()}


def test_message_of_two_entries_has_no_one_entry() -> None:
    message = Message(module="m.py", text="there is no bucket 'x'", owner="")
    both = [Entry(page="p", title=title, do="", match=("there is no …",)) for title in "ab"]
    assert [entry.takes(message) for entry in both] == [True, True]


# --- the pages


def test_pages_are_as_they_would_be_written() -> None:
    for path, text in written().items():
        assert (DOCS / path).read_text() == text, REWRITE
    assert sorted(path.name for path in (DOCS / "troubleshooting").iterdir()) == sorted(
        Path(path).name for path in written() if path != INDEX
    )


def test_no_page_is_too_long_to_read() -> None:
    assert {
        path: len(text.splitlines())
        for path, text in written().items()
        if path.endswith(".md") and text.count("\n") > 600
    } == {}


def test_links_lead_to_a_heading() -> None:
    broken = []
    for path, text in written().items():
        for target in re.findall(r"\]\(([^)]+)\)", text):
            file, _, anchor = target.partition("#")
            document = ((DOCS / path).parent / file).resolve()
            if not document.is_file() or (anchor and anchor not in _anchors(document)):
                broken.append((path, target))
    assert broken == []


@functools.cache
def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


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


def test_rule_of_manifests_is_whole_on_its_page() -> None:
    page = (DOCS / "troubleshooting" / "manifests.md").read_text()
    assert "10,000 items a list; at most 3,000,000 bytes compressed, with the defaults" in page
