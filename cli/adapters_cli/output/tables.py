"""Rows of text as a table for a terminal, and a screen with as many rows as a terminal has room for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult
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
    "fits": "green",
    "outgrown": "red",
    "create": "green",
    "created": "green",
    "update": "yellow",
    "updated": "yellow",
    "restored": "yellow",
    "retry": "yellow",
    "not-compared": "yellow",
    "superseded": "dim",
    "keep": "dim",
    "-": "dim",
    "uploaded": "green",
    "skipped": "dim",
    "better": "green",
    "worse": "red",
    "unclear": "dim",
}
"""Style of a state or result. A word that is not here is yellow."""

_GAP = 2
_NARROWEST_TEXT = 28
"""A longer text that would get fewer columns goes on a line of its own, below the other fields."""


@dataclass(frozen=True, kw_only=True)
class RowTable:
    """Rows as a table without lines, for a terminal of any width.

    Nothing is cut off. The last field of a row is a text: it is folded, or goes on a line of its own. If the
    rest is still too wide, optional columns are left out, and a note says so. Other fields are folded.
    Without `text`, the last field is as the others, and each row has one line.

    styled:
        Index of the field that has a style; None for none.
    spare:
        Headings of the optional columns, the least important first.
    numbers:
        Headings of the columns that end at the same place, as numbers do.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    styled: int | None
    spare: Sequence[str] = ()
    numbers: Sequence[str] = ()
    text: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay out the rows for the width of the terminal."""
        room = options.max_width
        needed = [self._needed(index) for index in range(len(self.headings))]
        last = len(needed) - 1
        shown, left_out = list(range(last if self.text else last + 1)), []
        below = self.text and self._taken(shown, needed) + _GAP + min(needed[last], _NARROWEST_TEXT) > room
        for heading in self.spare:
            if self._taken(shown, needed) <= room:
                break
            left_out.append(heading)
            shown.remove(self.headings.index(heading))
        widths = self._fitted(shown, needed, room)
        if below:
            yield from self._with_text_below(shown, widths)
        else:
            if self.text:
                widths[last] = room - self._taken(shown, needed) - _GAP
                shown.append(last)
            yield self._table(shown, widths, self.rows, headed=True)
        if left_out:
            yield Text(f"no room for {', '.join(left_out)}: --json has all", style="dim")

    def _needed(self, index: int) -> int:
        fields = (cell_len(one_line(row[index])) for row in self.rows)
        return max([cell_len(self.headings[index]), *fields])

    @staticmethod
    def _taken(columns: Sequence[int], needed: Sequence[int]) -> int:
        return sum(needed[index] for index in columns) + _GAP * (len(columns) - 1)

    def _fitted(self, columns: Sequence[int], needed: Sequence[int], room: int) -> dict[int, int]:
        """Return the width of each column: what it needs, less for the widest if there is no room."""
        widths = {index: needed[index] for index in columns}
        most = max(widths.values())
        while most > 1 and sum(widths.values()) + _GAP * (len(columns) - 1) > room:
            most -= 1
            widths = {index: min(width, most) for index, width in widths.items()}
        return widths

    def _with_text_below(self, columns: Sequence[int], widths: dict[int, int]) -> RenderResult:
        """Yield tables of the rows. A table ends after each row that has a text."""
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
            heading = self.headings[index]
            justify: JustifyMethod = "right" if heading in self.numbers else "left"
            made.add_column(heading, overflow="fold", width=widths[index], justify=justify)
        for row in rows:
            cells = {index: Text(one_line(row[index]), overflow="fold") for index in columns}
            if self.styled is not None and self.styled in cells:
                cells[self.styled].stylize(STYLES.get(row[self.styled], "yellow"))
            made.add_row(*cells.values())
        return made


@dataclass(frozen=True, kw_only=True)
class FittedScreen:
    """A screen of rows, of which some take several lines.

    rows:
        How many rows there are.
    draw:
        Returns the screen with that many of the rows, and with all that is around them.
    height:
        Lines of the terminal.
    """

    rows: int
    draw: Callable[[int], RenderableType]
    height: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the screen, with fewer rows until it fits."""
        shown = min(self.rows, self.height)
        while True:
            drawn = self.draw(shown)
            over = len(console.render_lines(drawn, options, pad=False)) - self.height
            if over <= 0 or shown <= 1:
                yield drawn
                return
            shown = max(1, shown - over)


def hidden_rows(count: int) -> Text:
    """Return the line below a page that leaves rows out."""
    return Text(f"and {count:,} more; in a pipe and with --json, all are shown", style="dim")
