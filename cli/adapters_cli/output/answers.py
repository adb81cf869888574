"""The answers of components: side by side on a terminal, plain in a pipe, or as JSON."""

import json
from dataclasses import dataclass
from typing import Protocol

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from adapters_cli.output.text import print_error, printable

_NARROWEST_COLUMN = 28


@dataclass
class ComponentAnswer:
    """The answer of one component so far; when it is complete, also its duration or its error.

    name:
        The user's name for the component.
    unasked:
        True if the request could not be sent.
    """

    component: str
    name: str
    text: str = ""
    error: str | None = None
    unasked: bool = False
    seconds: float | None = None


class AnswerView(Protocol):
    """Shows answers while they arrive, and when all are complete."""

    def add(self, piece: str) -> None:
        """Show a piece that was added to one of the answers."""

    def end(self) -> None:
        """Show the complete answers."""


class Screen:
    """A terminal: the answers side by side, while they grow."""

    def __init__(self, answers: list[ComponentAnswer]) -> None:
        self._console = Console()
        self._live = Live(get_renderable=lambda: self._render(answers), console=self._console)
        self._live.start()

    def add(self, piece: str) -> None:
        """Do nothing: the display reads the answers several times a second."""

    def end(self) -> None:
        """Draw the answers a last time."""
        self._live.stop()

    def _render(self, answers: list[ComponentAnswer]) -> RenderableType:
        if self._console.width // len(answers) < _NARROWEST_COLUMN:
            return Group(*(Panel(_content(answer), title=_title(answer)) for answer in answers))
        table = Table(expand=True)
        for answer in answers:
            table.add_column(_title(answer), ratio=1)
        table.add_row(*map(_content, answers))
        return table


class PlainText:
    """A pipe or a file: only the answers, each below its name if there are several."""

    def __init__(self, answers: list[ComponentAnswer]) -> None:
        self._answers = answers
        self._alone = len(answers) == 1

    def add(self, piece: str) -> None:
        """Print a piece of the only answer at once."""
        if self._alone:
            typer.echo(printable(piece), nl=False)

    def end(self) -> None:
        """Print the answers, and the errors on standard error."""
        for answer in self._answers:
            if answer.error is not None:
                print_error(f"{answer.name}: {answer.error}")
            elif self._alone:
                typer.echo()
            else:
                typer.echo(f"[{answer.name}]\n{printable(answer.text)}\n")


class JsonLines:
    """One JSON object for each component: its answer or its error."""

    def __init__(self, answers: list[ComponentAnswer]) -> None:
        self._answers = answers

    def add(self, piece: str) -> None:
        """Do nothing: answers are printed when they are complete."""

    def end(self) -> None:
        """Print all answers."""
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


def _title(answer: ComponentAnswer) -> Text:
    title = Text(answer.name, style="bold")
    return title if answer.seconds is None else title.append(f"  {answer.seconds:.2f} s", style="dim")


def _content(answer: ComponentAnswer) -> Text:
    if answer.error is not None:
        return Text(printable(answer.error), style="red")
    if not answer.text and answer.seconds is None:
        return Text("…", style="dim")
    return Text(printable(answer.text))
