"""The result of a command: a table on a terminal, fields between tabs in a pipe, or one JSON document."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType

from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import one_line

JsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


def print_result(
    document: Mapping[str, Any],
    shown: RenderableType,
    *,
    as_json: bool,
    rows: Iterable[Sequence[str]] | None = None,
) -> None:
    """Print the document of a result, or else its text, its screen on a terminal, or its rows in a pipe.

    The document is an object, so that a later release can add to it. A table has the rows itself. Any other
    screen needs `rows`.
    """
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    elif isinstance(shown, str):
        typer.echo(shown)
    elif sys.stdout.isatty():
        Console().print(shown)
    else:
        for row in shown.rows if rows is None and isinstance(shown, RowTable) else rows or ():
            typer.echo("\t".join(map(one_line, row)))
