"""The help pages: examples that are right, words for what an option takes, and room for 80 columns."""

import functools
import re
import shlex

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from adapters_cli.command_group import CommandGroup
from adapters_cli.main import app
from adapters_cli.output.exit_codes import MEANINGS

PAGES = ("", *CommandGroup.modules)
COLUMNS = 80


@functools.cache
def page(command: str) -> str:
    result = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": str(COLUMNS)})
    assert result.exit_code == 0
    return result.stdout


@functools.cache
def group() -> CommandGroup:
    made = get_command(app)
    assert isinstance(made, CommandGroup)
    return made


def examples(command: str) -> list[str]:
    _, _, block = page(command).partition("\n Examples:\n")
    lines = [line.strip() for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def parse(line: str) -> str:
    """Parse a command line as the command itself does. Return the name of the command."""
    inner = re.search(r"\$\((.*)\)", line)
    program, name, *words = shlex.split(inner[1] if inner else line)
    assert program == "adapters"
    with group().make_context(program, [name, *words]) as context:
        group().commands[name].make_context(name, words, parent=context)
    return name


@pytest.mark.parametrize("command", CommandGroup.modules)
def test_examples_of_a_command_are_right(command: str) -> None:
    lines = examples(command)
    assert 1 <= len(lines) <= 3
    assert {parse(line) for line in lines} == {command}


def test_first_page_has_every_command_in_one_group_and_every_exit_code() -> None:
    assert [parse(line) for line in CommandGroup.first_examples] == ["list", "status", "check"]
    text = page("")
    for code, meaning in MEANINGS.items():
        assert f"{code}  {meaning}" in text
    panels = dict.fromkeys(at.panel.value for at in CommandGroup.modules.values())
    assert re.findall(r"╭─ ([^─]*) ─", text)[2:] == list(panels)
    for name in CommandGroup.modules:
        assert len(re.findall(rf"^│ {name} ", text, flags=re.MULTILINE)) == 1


@pytest.mark.parametrize("command", PAGES)
def test_help_fits_the_terminal_and_breaks_no_word(command: str) -> None:
    assert max(map(len, page(command).splitlines())) <= COLUMNS
    # Nor is a type of Python named.
    assert not re.search(r"<(bool|str|int|float|path|list)", page(command))
    found = group().commands[command] if command else group()
    context = found.make_context(command or "adapters", ["list"], resilient_parsing=True)
    shown = set(page(command).replace("│", " ").split())
    for param in context.command.get_params(context):
        words = [
            *(getattr(param, "help", None) or "").replace("`", "").split(),
            *(param.metavar or "").split(),
            *param.opts,
        ]
        assert not [word for word in words if word not in shown and word != param.name]
