"""Showing answers: side by side on a terminal, plain in a pipe, or as JSON."""

import json
from dataclasses import dataclass
from typing import Protocol

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from adapters_cli.output.text import complain, printable

_NARROWEST_COLUMN = 28


@dataclass
class Answer:
    """What one component has answered so far; at its end also how long it took, or why there is none.

    name:
        What the one who asks calls it.
    unasked:
        Whether it could not even be asked.
    """

    component: str
    name: str
    text: str = ""
    error: str | None = None
    unasked: bool = False
    seconds: float | None = None


class View(Protocol):
    """Shows answers while they come, and when all have come."""

    def add(self, piece: str) -> None:
        """A piece was added to one of the answers."""

    def end(self) -> None:
        """No more will come."""


class Screen:
    """A terminal: the answers beside each other, as they grow."""

    def __init__(self, answers: list[Answer]) -> None:
        self._console = Console()
        self._live = Live(get_renderable=lambda: self._render(answers), console=self._console)
        self._live.start()

    def add(self, piece: str) -> None:
        """Leave it to the display, which looks at the answers several times a second."""

    def end(self) -> None:
        """Draw the answers for the last time."""
        self._live.stop()

    def _render(self, answers: list[Answer]) -> RenderableType:
        if self._console.width // len(answers) < _NARROWEST_COLUMN:
            return Group(*(Panel(_content(answer), title=_title(answer)) for answer in answers))
        table = Table(expand=True)
        for answer in answers:
            table.add_column(_title(answer), ratio=1)
        table.add_row(*map(_content, answers))
        return table


class PlainText:
    """A pipe or a file: nothing but the answers, each under its name if there are several."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers
        self._alone = len(answers) == 1

    def add(self, piece: str) -> None:
        """Pass a lone answer on as it comes."""
        if self._alone:
            typer.echo(printable(piece), nl=False)

    def end(self) -> None:
        """Write the answers, and to standard error why there is none."""
        for answer in self._answers:
            if answer.error is not None:
                complain(f"{answer.name}: {answer.error}")
            elif self._alone:
                typer.echo()
            else:
                typer.echo(f"[{answer.name}]\n{printable(answer.text)}\n")


class JsonLines:
    """One object for each component: its answer, or the error."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers

    def add(self, piece: str) -> None:
        """Wait for the whole answer."""

    def end(self) -> None:
        """Write all answers."""
        for answer in self._answers:
            result = {"text": answer.text} if answer.error is None else {"error": answer.error}
            typer.echo(
                json.dumps(
                    {
                        "name": answer.name,
                        "component": answer.component,
                        **result,
                        "seconds": answer.seconds,
                    }
                )
            )


def _title(answer: Answer) -> Text:
    title = Text(answer.name, style="bold")
    return title if answer.seconds is None else title.append(f"  {answer.seconds:.2f} s", style="dim")


def _content(answer: Answer) -> Text:
    if answer.error is not None:
        return Text(printable(answer.error), style="red")
    if not answer.text and answer.seconds is None:
        return Text("…", style="dim")
    return Text(printable(answer.text))
