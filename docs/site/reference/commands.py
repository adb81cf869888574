"""The page of the `adapters` command: every command and every option, as its help has them."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import typer

from adapters_cli.main import app
from adapters_cli.output.exit_codes import MEANINGS
from docs.site.markdown import anchor, block, code, escaped, table, wrapped
from docs.site.reference.since import if_newer, since

FILE = "commands.md"

_REQUIRED = " [required]"
_LEAST = re.compile(r"; x>=\d(?=])| \[x>=\d\]")
_OFTEN = 3
"""An option of so many commands is explained once."""

Row = tuple[str, str]
"""An argument or option, and what it does."""


def page() -> str:
    """Return the page."""
    group: Any = typer.main.get_command(app)
    # What `--help` prints is the real command's.
    commands = {name: lazy._command for name, lazy in group.commands.items()}
    account = _rows(group)
    own = {name: [row for row in _rows(each) if row not in account] for name, each in commands.items()}
    counts = Counter(_optional(row) for rows in own.values() for row in rows if row[0].startswith("`-"))
    shared = [row for row, count in counts.items() if count >= _OFTEN]
    parts = [
        "# Commands",
        wrapped(
            "Every command of `adapters`, as `adapters COMMAND --help` prints it."
            " [Operating](../guides/operating.md) says what to do when."
        ),
        _overview(group),
        "## Shared options",
        "Every command takes `--region` and `--profile`. Each command names the others that it takes.",
        _entries([*account, *shared], "adapters"),
        "## Exit codes",
        table(("exit code", "what it means"), [(str(each), text) for each, text in MEANINGS.items()]),
        wrapped(
            "Each command says below what its 1 and 3 mean. A command that nobody confirms ends with 1. A"
            " signal ends a command with 128 and the signal's number; `preview`, `evaluate` and"
            " `publish --probe-on` delete their temporary component first."
        ),
    ]
    for name, command in commands.items():
        parts += _command(name, command, own[name], shared)
    return "\n\n".join(parts) + "\n"


def _overview(group: Any) -> str:
    panels: dict[str, list[str]] = {}
    for name, command in group.commands.items():
        panel = getattr(command, "rich_help_panel", None) or "Commands"
        panels.setdefault(panel, []).append(f"[`{name}`](#{anchor(f'adapters {name}')})")
    return "\n".join(
        wrapped(f"- {panel}: {', '.join(links)}", indent="  ") for panel, links in panels.items()
    )


def _command(name: str, command: Any, rows: Collection[Row], shared: Collection[Row]) -> Iterator[str]:
    yield f"## adapters {name}"
    yield since(f"adapters {name}")
    yield code(" ".join(["adapters", name, *command.collect_usage_pieces(_context(command))]))
    yield _paragraphs(command.help)
    yield block(command.examples.strip(), "sh", reason="example")
    if own := [row for row in rows if _optional(row) not in shared]:
        yield _entries(own, f"adapters {name}")
    elsewhere = [
        f"`{row[0].strip('`').split(' ')[0].strip(',')}`{' (required)' * row[1].endswith(_REQUIRED)}"
        for row in rows
        if _optional(row) in shared
    ]
    if elsewhere:
        yield f"[Shared options](#shared-options): {', '.join(elsewhere)}."


def _rows(command: Any) -> list[Row]:
    """Return what the help has of each argument and option, other than `--help`."""
    context = _context(command)
    records = [
        each.get_help_record(context) for each in command.get_params(context) if "--help" not in each.opts
    ]
    return [_row(*record) for record in records if record]


def _row(name: str, text: str) -> Row:
    text = _LEAST.sub("", " ".join(text.split()))
    text = escaped(re.sub(r"(\d+)<=x<=(\d+)", r"\1 to \2", text))
    # The usage line says it of an argument.
    return f"`{name}`", text if name.startswith("-") else text.removesuffix(_REQUIRED)


def _entries(rows: Iterable[Row], owner: str) -> str:
    """Return a list. What is newer than its command says so."""
    parts = [f"- **{name}**: {text}{if_newer(f'{owner} {_option(name)}')}" for name, text in rows]
    return "\n".join(wrapped(each, indent="  ") for each in parts)


def _option(name: str) -> str:
    """Return the long form of an option, or an argument as it is."""
    found = re.search(r"--[\w-]+", name)
    return found[0] if found else name.strip("`")


def _optional(row: Row) -> Row:
    return row[0], row[1].removesuffix(_REQUIRED)


def _context(command: Any) -> Any:
    return typer.Context(command, info_name="adapters")


def _paragraphs(text: str) -> str:
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip())]
    return "\n\n".join(wrapped(escaped(part)) for part in parts)
