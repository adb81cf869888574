"""Showing rows: a table on a terminal, fields between tabs in a pipe."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import typer
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from adapters_cli.output.text import one_line

STYLES = {
    "failed": "red",
    "foreign": "red",
    "error": "red",
    "stuck": "red",
    "refused": "red",
    "unusable": "red",
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
    "not-compared": "yellow",
    "superseded": "dim",
    "keep": "dim",
    "uploaded": "green",
    "skipped": "dim",
}
"""How words stand out; others do not."""

_GAP = 2
_NARROWEST_TEXT = 28
"""A text that is longer than that and would get less goes on a line of its own, below the other fields."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows as a table without lines, whatever the width of the terminal.

    Nothing is cut off. The last field of a row is a text, which is folded or goes on a line of its own; then
    columns that can be spared are left out, which is said; what is still too long is folded.

    styled:
        Index of the field that says how it stands out.
    spare:
        Headings of the columns that can be spared, the least important first.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    styled: int
    spare: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the rows out for the width that there is."""
        room = options.max_width
        needed = [self._needed(index) for index in range(len(self.headings))]
        last = len(needed) - 1
        shown, left_out = list(range(last)), []
        below = self._taken(shown, needed) + _GAP + min(needed[last], _NARROWEST_TEXT) > room
        for heading in self.spare:
            if self._taken(shown, needed) <= room:
                break
            left_out.append(heading)
            shown.remove(self.headings.index(heading))
        widths = self._fitted(shown, needed, room)
        if below:
            yield from self._with_text_below(shown, widths)
        else:
            widths[last] = room - self._taken(shown, needed) - _GAP
            yield self._table([*shown, last], widths, self.rows, headed=True)
        if left_out:
            yield Text(f"no room for {', '.join(left_out)}: --json has all", style="dim")

    def _needed(self, index: int) -> int:
        fields = (cell_len(one_line(row[index])) for row in self.rows)
        return max([cell_len(self.headings[index]), *fields])

    @staticmethod
    def _taken(columns: Sequence[int], needed: Sequence[int]) -> int:
        return sum(needed[index] for index in columns) + _GAP * (len(columns) - 1)

    def _fitted(self, columns: Sequence[int], needed: Sequence[int], room: int) -> dict[int, int]:
        """Return the width of each column: what it needs, but the widest give what is too much."""
        widths = {index: needed[index] for index in columns}
        most = max(widths.values())
        while most > 1 and sum(widths.values()) + _GAP * (len(columns) - 1) > room:
            most -= 1
            widths = {index: min(width, most) for index, width in widths.items()}
        return widths

    def _with_text_below(self, columns: Sequence[int], widths: dict[int, int]) -> RenderResult:
        """Yield tables of the rows, broken after each that has a text."""
        part: list[Sequence[str]] = []
        headed = True
        for row in self.rows:
            part.append(row)
            if text := one_line(row[-1]):
                yield self._table(columns, widths, part, headed=headed)
                yield Padding(Text(text, overflow="fold"), (0, 0, 0, _GAP))
                part, headed = [], False
        if part or headed:
            yield self._table(columns, widths, part, headed=headed)

    def _table(
        self, columns: Sequence[int], widths: dict[int, int], rows: Sequence[Sequence[str]], *, headed: bool
    ) -> Table:
        made = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        made.show_header = headed
        for index in columns:
            made.add_column(self.headings[index], overflow="fold", width=widths[index])
        for row in rows:
            cells = {index: Text(one_line(row[index]), overflow="fold") for index in columns}
            if self.styled in cells:
                cells[self.styled].stylize(STYLES.get(row[self.styled], "yellow"))
            made.add_row(*cells.values())
        return made


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, styled: int, spare: Sequence[str] = ()
) -> Rows:
    """Return rows as a table for a terminal; the fields are those of `Rows`."""
    return Rows(headings=headings, rows=list(rows), styled=styled, spare=spare)


def show(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, styled: int, spare: Sequence[str] = ()
) -> None:
    """Write rows for who reads them: with headings for a person, else fields between tabs."""
    if sys.stdout.isatty():
        Console().print(table(headings, rows, styled=styled, spare=spare))
        return
    for row in rows:
        typer.echo("\t".join(one_line(field) for field in row))
