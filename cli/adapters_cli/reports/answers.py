"""The answers of components to one prompt: side by side on a terminal, plain in a pipe."""

import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from adapters_cli.aws.generated_text import TextRequest
from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint, UnaskedError
from adapters_cli.evaluation.differences import differences
from adapters_cli.output.text import print_error, printable

_NARROWEST_COLUMN = 28
_ADDED, _REMOVED = "bold green", "red"


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

    @property
    def document(self) -> dict[str, Any]:
        """The complete answer as `--json` writes it."""
        result = {"text": self.text} if self.error is None else {"error": self.error}
        return {"name": self.name, "component": self.component, **result, "seconds": self.seconds}


def ask_all(
    endpoint: RuntimeEndpoint, request: TextRequest, answers: list[ComponentAnswer], *, stream: bool
) -> Iterator[str]:
    """Ask all components at the same time; yield each piece after it was added to its answer."""
    pieces: SimpleQueue[tuple[ComponentAnswer, str | None]] = SimpleQueue()

    def ask(answer: ComponentAnswer) -> None:
        started = time.perf_counter()
        try:
            if stream:
                for piece in endpoint.stream(answer.component, request):
                    pieces.put((answer, piece))
            else:
                pieces.put((answer, endpoint.generate(answer.component, request).text))
        except Exception as error:  # of any kind: the other answers are still shown
            answer.error = str(error) or type(error).__name__
            answer.unasked = isinstance(error, UnaskedError)
        finally:
            answer.seconds = time.perf_counter() - started
            pieces.put((answer, None))

    for answer in answers:
        # Daemon threads: Ctrl-C does not wait for the answers.
        threading.Thread(target=ask, args=[answer], daemon=True).start()
    open_answers = len(answers)
    while open_answers:
        answer, piece = pieces.get()
        if piece is None:
            open_answers -= 1
        else:
            answer.text += piece
            yield piece


def ask_and_show(
    endpoint: RuntimeEndpoint, request: TextRequest, names: Mapping[str, str], *, stream: bool, as_json: bool
) -> list[ComponentAnswer]:
    """Ask all components, by name, at the same time; show the answers unless `--json` writes them."""
    answers = [ComponentAnswer(component=component, name=name) for component, name in names.items()]
    pieces = ask_all(endpoint, request, answers, stream=stream)
    if as_json:
        for _ in pieces:
            pass  # what is written are the whole answers
    else:
        show_answers(pieces, answers)
    return answers


def show_answers(pieces: Iterator[str], answers: list[ComponentAnswer]) -> None:
    """Show answers while their pieces arrive.

    A pipe gets the only answer alone. Several are each below its name. Errors go to standard error.
    """
    if sys.stdout.isatty():
        console = Console()
        # The display reads the answers several times a second.
        with Live(get_renderable=lambda: side_by_side(answers, console.width), console=console):
            for _ in pieces:
                pass
        return
    alone = len(answers) == 1
    for piece in pieces:
        if alone:
            typer.echo(printable(piece), nl=False)
    for answer in answers:
        if answer.error is not None:
            print_error(f"{answer.name}: {answer.error}")
        elif alone:
            typer.echo()
        else:
            typer.echo(f"[{answer.name}]\n{printable(answer.text)}\n")


def side_by_side(answers: Sequence[ComponentAnswer], width: int) -> RenderableType:
    """Return the answers as they are so far. Complete ones are compared with the first one.

    The first one has marks itself if there is one other.
    """
    complete = all(answer.seconds is not None for answer in answers)
    texts = _marked(answers) if complete else [_text(answer) for answer in answers]
    titles = [_title(answer) for answer in answers]
    if width // len(answers) < _NARROWEST_COLUMN:
        return Group(*(Panel(text, title=title) for title, text in zip(titles, texts, strict=True)))
    table = Table(expand=True)
    for title in titles:
        table.add_column(title, ratio=1)
    table.add_row(*texts)
    return table


def _title(answer: ComponentAnswer) -> Text:
    title = Text(printable(answer.name), style="bold")
    return title if answer.seconds is None else title.append(f"  {answer.seconds:.2f} s", style="dim")


def _marked(answers: Sequence[ComponentAnswer]) -> list[Text]:
    first, *others = answers
    texts = [_text(first)]
    for answer in others:
        if first.error is not None or answer.error is not None:
            texts.append(_text(answer))
            continue
        left, right = Text(), Text()
        for piece in differences(printable(first.text), printable(answer.text)):
            if piece.kind != "added":
                left.append(piece.text, style=_REMOVED if piece.kind == "removed" else "")
            if piece.kind != "removed":
                right.append(piece.text, style=_ADDED if piece.kind == "added" else "")
        texts.append(right)
        if len(others) == 1:
            texts[0] = left
    return texts


def _text(answer: ComponentAnswer) -> Text:
    if answer.error is not None:
        return Text(printable(answer.error), style="red")
    if not answer.text and answer.seconds is None:
        return Text("…", style="dim")
    return Text(printable(answer.text))
