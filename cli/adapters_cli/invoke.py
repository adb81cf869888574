"""`adapters invoke`: ask one prompt of several components of an endpoint."""

import sys
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated

import typer

from adapters_cli.answers import Answer, JsonLines, PlainText, Screen, View
from adapters_cli.text import complain

if TYPE_CHECKING:
    from adapters_cli.endpoint import Endpoint, Question


def invoke(
    endpoint: Annotated[str, typer.Argument(help="Name of the endpoint.")],
    prompt: Annotated[str, typer.Argument(help="The prompt; - reads it from standard input.")],
    component: Annotated[
        list[str],
        typer.Option(
            "--component", "-c", metavar="NAME", help="Component to ask; give several to compare them."
        ),
    ],
    stream: Annotated[bool, typer.Option("--stream", help="Show the answers as they are written.")] = False,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 100,
    temperature: Annotated[
        float, typer.Option(min=0, help="0 gives the most likely answer, the same each time.")
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Write each answer as a line of JSON.")] = False,
) -> None:
    """Ask a prompt of the base model and its adapters, and show the answers side by side.

    Ends with 1 if a component does not answer.
    """
    # boto3 takes a while to import, and `--help` does without.
    from adapters_cli.endpoint import Endpoint, InvocationError, Question

    question = Question(
        prompt=sys.stdin.read() if prompt == "-" else prompt,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
    )
    try:
        connected = Endpoint.connect(endpoint)
    except InvocationError as error:
        complain(str(error))
        raise typer.Exit(1) from None
    answers = [Answer(component=name) for name in dict.fromkeys(component)]
    view = _view(answers, as_json=as_json)
    try:
        for piece in _ask_all(connected, question, answers, stream=stream):
            view.add(piece)
    finally:
        view.end()
    if any(answer.error is not None for answer in answers):
        raise typer.Exit(1)


def _view(answers: list[Answer], *, as_json: bool) -> View:
    if as_json:
        return JsonLines(answers)
    return Screen(answers) if sys.stdout.isatty() else PlainText(answers)


def _ask_all(
    endpoint: "Endpoint", question: "Question", answers: list[Answer], *, stream: bool
) -> Iterator[str]:
    """Ask all components at once; yield each piece of an answer when it has been added to it."""
    pieces: SimpleQueue[tuple[Answer, str | None]] = SimpleQueue()

    def ask(answer: Answer) -> None:
        started = time.perf_counter()
        try:
            for piece in endpoint.answer(answer.component, question, stream=stream):
                pieces.put((answer, piece))
        except Exception as error:  # whatever it is, the others' answers are still shown
            answer.error = str(error) or type(error).__name__
        finally:
            answer.seconds = time.perf_counter() - started
            pieces.put((answer, None))

    for answer in answers:
        # Daemons, so that Ctrl-C does not wait for the answers.
        threading.Thread(target=ask, args=[answer], daemon=True).start()
    open_answers = len(answers)
    while open_answers:
        answer, piece = pieces.get()
        if piece is None:
            open_answers -= 1
        else:
            answer.text += piece
            yield piece
