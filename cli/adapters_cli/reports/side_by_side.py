"""Answers side by side in the terminal, with their differences marked."""

import sys
from collections.abc import Mapping, Sequence

import typer
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from adapter_fleet.common.counts import counted
from adapters_cli.evaluation.differences import differences
from adapters_cli.evaluation.result import Answer
from adapters_cli.output.text import print_error, printable

_NARROWEST_COLUMN = 28
_ADDED, _REMOVED = "bold green", "red"


def print_answers(answers: Mapping[str, Answer]) -> None:
    """Print answers by name. Each is compared with the first one, which has marks if there is one other.

    In a pipe the answers are plain, each below its name.
    """
    if not sys.stdout.isatty():
        for name, answer in answers.items():
            if answer.error is not None:
                print_error(f"{name}: {answer.error}")
            else:
                typer.echo(f"[{name}] {facts_of(answer)}\n{printable(answer.text)}\n")
        return
    console = Console()
    texts = _marked([*answers.values()])
    titles = [_title(name, answer) for name, answer in answers.items()]
    console.print(_laid_out(titles, texts, console.width))


def facts_of(answer: Answer) -> str:
    """Return an answer's seconds and tokens: 0.12 s, 7 tokens."""
    seconds = "" if answer.seconds is None else f"{answer.seconds:.2f} s"
    tokens = "" if answer.completion_tokens is None else counted(answer.completion_tokens, "token")
    return ", ".join(filter(None, (seconds, tokens)))


def _laid_out(titles: Sequence[Text], texts: Sequence[Text], width: int) -> RenderableType:
    if width // len(titles) < _NARROWEST_COLUMN:
        return Group(*(Panel(text, title=title) for title, text in zip(titles, texts, strict=True)))
    table = Table(expand=True)
    for title in titles:
        table.add_column(title, ratio=1)
    table.add_row(*texts)
    return table


def _title(name: str, answer: Answer) -> Text:
    return Text(printable(name), style="bold").append(f"  {facts_of(answer)}", style="dim")


def _marked(answers: Sequence[Answer]) -> list[Text]:
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


def _text(answer: Answer) -> Text:
    if answer.error is not None:
        return Text(printable(answer.error), style="red")
    return Text(printable(answer.text))
