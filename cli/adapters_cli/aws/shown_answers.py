"""Asking several components the same prompt at the same time, and showing their answers side by side."""

import sys
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue

from adapter_fleet.serving.completions import PromptRequest
from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint, UnaskedError
from adapters_cli.output.answers import AnswerView, ComponentAnswer, JsonLines, PlainText, Screen


def show_answers(
    endpoint: RuntimeEndpoint,
    request: PromptRequest,
    answers: list[ComponentAnswer],
    *,
    stream: bool,
    as_json: bool,
) -> None:
    """Ask all components at the same time, and show their answers."""
    view = _view(answers, as_json=as_json)
    try:
        for piece in _ask_all(endpoint, request, answers, stream=stream):
            view.add(piece)
    finally:
        view.end()


def _view(answers: list[ComponentAnswer], *, as_json: bool) -> AnswerView:
    if as_json:
        return JsonLines(answers)
    return Screen(answers) if sys.stdout.isatty() else PlainText(answers)


def _ask_all(
    endpoint: RuntimeEndpoint, request: PromptRequest, answers: list[ComponentAnswer], *, stream: bool
) -> Iterator[str]:
    """Ask all components at the same time; yield each piece after it was added to its answer."""
    pieces: SimpleQueue[tuple[ComponentAnswer, str | None]] = SimpleQueue()

    def ask(answer: ComponentAnswer) -> None:
        started = time.perf_counter()
        try:
            for piece in endpoint.answer(answer.component, request, stream=stream):
                pieces.put((answer, piece))
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
