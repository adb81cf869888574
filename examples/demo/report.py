"""What the demo says: steps with their times, what was expected, and what commands print."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.text import Text

from examples.demo.command import Ran


class Report:
    """Writes to a console, and remembers what was not as expected."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.unexpected: list[str] = []

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Tell that something is under way, then how long it took."""
        started = time.monotonic()
        with self._console.status(f"{escape(what)} …"):
            yield
        self._line(f"[green]✓[/] {escape(what)} [dim]({time.monotonic() - started:.1f} s)[/]")

    def expect(self, holds: bool, what: str, *, quiet: bool = False) -> None:
        """Note whether something is as expected; if `quiet`, only tell where it is not."""
        if not holds:
            self.unexpected.append(what)
        if not holds or not quiet:
            mark = "[green]✓[/]" if holds else "[red]✗[/]"
            self._line(f"{mark} {escape(what)}")

    def chapter(self, title: str, *, why: str, left: float) -> None:
        """Begin something new: what it shows, and about how many seconds the demo still takes."""
        self._console.print()
        self._console.rule(f"[bold]{escape(title)}[/]", align="left", style="dim")
        self._console.print(Text(why, style="italic"))
        self._line(f"[dim]{about(left)} left[/]")

    def show(self, what: RenderableType) -> None:
        """Write a table or a text."""
        self._console.print(what)

    def note(self, text: str) -> None:
        """Write a remark."""
        self._line(f"  [dim]{escape(text)}[/]")

    def ran(self, ran: Ran, *, code: int = 0, first: int = 8) -> None:
        """Show a command and what it printed, cut in the middle; expect its exit code."""
        self._line(f"[bold]$ {escape(ran.command)}[/]")
        for line in _cut(ran.lines, first):
            text = Text.from_ansi(f"  {line}")
            text.rstrip()
            self._console.print(text, soft_wrap=True)
        self.expect(
            ran.code == code,
            f"'{ran.command}' ended with {ran.code}, where {code} was expected",
            quiet=True,
        )

    def _line(self, markup: str) -> None:
        self._console.print(markup, highlight=False, soft_wrap=True)


def about(seconds: float) -> str:
    """Say a time roughly: in tens of seconds, then in half minutes."""
    if seconds < 55:
        return f"about {max(10, round(seconds / 10) * 10)} s"
    minutes = round(seconds / 30) / 2
    return f"about {minutes:g} {'minute' if minutes == 1 else 'minutes'}"


def _cut(lines: Sequence[str], first: int) -> Sequence[str]:
    """Return the first lines and the last one, and how many there are between."""
    hidden = len(lines) - first - 1
    return lines if hidden < 2 else [*lines[:first], f"… {hidden} lines", lines[-1]]
