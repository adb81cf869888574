"""The page of the `adapters` command: every command and every option, as its help has them."""

import re
from collections.abc import Iterator
from typing import Any

import typer

from adapters_cli.main import app
from docs.site.markdown import anchor, block, escaped, table, wrapped

FILE = "commands.md"

_EXAMPLE = "an example of the help, with names of a fleet that is not there"
_USAGE = "a usage line"
_ACCOUNT = "AWS"
_ARGUMENTS, _OPTIONS = "Arguments", "Options"


def page() -> str:
    """Return the page."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="adapters")
    parts = [
        "# Commands",
        wrapped(
            "Every command of `adapters`, as `adapters COMMAND --help` prints it."
            " [Operating](../guides/operating.md) says what to do when, and what each exit code means."
        ),
        *_overview(group),
        "## Options of every command",
        *_parameters(group, context),
    ]
    for name in group.commands:
        parts += _command(name, group.get_command(context, name))
    return "\n\n".join(parts) + "\n"


def command_names() -> list[str]:
    """Return the name of every command."""
    group: Any = typer.main.get_command(app)
    return list(group.commands)


def _overview(group: Any) -> Iterator[str]:
    panels: dict[str, list[tuple[str, str]]] = {}
    for name, command in group.commands.items():
        panel = getattr(command, "rich_help_panel", None) or "Commands"
        panels.setdefault(panel, []).append((f"[`{name}`](#{anchor(f'adapters {name}')})", command.summary))
    for panel, rows in panels.items():
        yield f"**{panel}**"
        yield table(("command", "what it does"), rows)


def _command(name: str, lazy: Any) -> Iterator[str]:
    command = lazy._command  # what `--help` prints is the real command's
    context = typer.Context(command, info_name=f"adapters {name}")
    yield f"## adapters {name}"
    usage = " ".join(["adapters", name, *command.collect_usage_pieces(context)])
    yield block(usage, "text", reason=_USAGE)
    yield _paragraphs(command.help)
    examples = command.examples.strip()
    if examples:
        yield block(examples, "sh", reason=_EXAMPLE)
    yield from _parameters(command, context)
    if command.epilog:
        yield _paragraphs(command.epilog)


def _parameters(command: Any, context: Any) -> Iterator[str]:
    """Yield a table for each group of options. Those of the account have a section of their own."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        panel = parameter.rich_help_panel
        if record is None or "--help" in parameter.opts or (panel == _ACCOUNT and command.name != "adapters"):
            continue
        is_argument = parameter.param_type_name == "argument"
        title = panel or (_ARGUMENTS if is_argument else _OPTIONS)
        panels.setdefault(title, []).append((f"`{record[0]}`", escaped(record[1])))
    for title, rows in panels.items():
        if title not in (_ARGUMENTS, _OPTIONS):
            yield f"**{title}**"
        yield table(("argument" if title == _ARGUMENTS else "option", "what it does"), rows)


def _paragraphs(text: str) -> str:
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip())]
    return "\n\n".join(wrapped(escaped(part)) for part in parts)
