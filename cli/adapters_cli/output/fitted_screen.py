"""A screen with as many rows as a terminal has room for."""

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text


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
