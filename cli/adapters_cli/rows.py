"""Showing rows: a table on a terminal, fields between tabs in a pipe."""

import sys
from collections.abc import Iterable, Sequence

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapters_cli.text import one_line

STYLES = {
    "failed": "red",
    "foreign": "red",
    "error": "red",
    "stuck": "red",
    "refused": "red",
    "delete": "red",
    "deleted": "red",
    "in service": "green",
    "converged": "green",
    "ok": "green",
    "create": "green",
    "created": "green",
    "update": "yellow",
    "updated": "yellow",
    "restored": "yellow",
    "retry": "yellow",
    "keep": "dim",
    "uploaded": "green",
    "skipped": "dim",
}
"""How words stand out; others do not."""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, styled: int) -> Table:
    """Return rows as a table without lines. The field of index `styled` says how it stands out."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        last = index == len(headings) - 1
        made.add_column(heading, overflow="fold", no_wrap=not last, ratio=1 if last else None)
    for row in rows:
        cells = [Text(one_line(field)) for field in row]
        cells[styled].stylize(STYLES.get(row[styled], "yellow"))
        made.add_row(*cells)
    return made


def show(headings: Sequence[str], rows: Iterable[Sequence[str]], *, styled: int) -> None:
    """Write rows for who reads them: with headings for a person, else fields between tabs."""
    if sys.stdout.isatty():
        Console().print(table(headings, rows, styled=styled))
        return
    for row in rows:
        typer.echo("\t".join(one_line(field) for field in row))
