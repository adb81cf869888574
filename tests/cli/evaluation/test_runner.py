import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters_cli.aws.generated_text import GeneratedText, TextRequest
from adapters_cli.aws.runtime_endpoint import InvocationError, UnaskedError
from adapters_cli.evaluation import runner as runner_module
from adapters_cli.evaluation.answer_log import AnswerLog, Question, open_log
from adapters_cli.evaluation.runner import Runner
from adapters_cli.output.errors import CommandError, NoAnswerError
from adapters_cli.output.progress_bars import AnswerCounts


def question(item: int, component: str = "base") -> Question:
    request = TextRequest(prompt=f"prompt {item}", max_tokens=7)
    return Question(place="llm", component=component, version="v1", item=str(item), request=request)


QUESTIONS = [question(item, component) for item in range(50) for component in ("base", "acme")]


class Endpoint:
    """Answers with the prompt, or raises what a test tells it to."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.order: list[tuple[str, str]] = []
        self.busy = self.most_busy = 0
        self.fails: Callable[[str, str], Exception | None] = lambda _component, _prompt: None
        self.seconds = 0.0
        self._lock = threading.Lock()

    def __call__(self, component: str, request: TextRequest) -> GeneratedText:
        with self._lock:
            self.asked[component, request.prompt] += 1
            self.order.append((component, request.prompt))
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        time.sleep(self.seconds)
        with self._lock:
            self.busy -= 1
        failure = self.fails(component, request.prompt)
        if failure is not None:
            raise failure
        return GeneratedText(text=f"{component} {request.prompt}", seconds=0.1)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    monkeypatch.setattr(runner_module, "_FIRST_PAUSE_SECONDS", 0.001)
    return Endpoint()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AnswerLog]:
    with open_log(tmp_path) as log:
        yield log


def test_every_question_is_asked_once_and_logged(endpoint: Endpoint, log: AnswerLog) -> None:
    Runner(endpoint, log).run(QUESTIONS[:30])
    summary = Runner(endpoint, log).run(QUESTIONS)
    assert (summary.asked, summary.errors, set(endpoint.asked.values())) == (70, 0, {1})
    assert (found := log.answer(QUESTIONS[3])) is not None
    assert found.answer.text == "acme prompt 1"


def test_questions_of_an_item_are_asked_beside_each_other(endpoint: Endpoint, log: AnswerLog) -> None:
    endpoint.seconds = 0.002
    Runner(endpoint, log, jobs=4).run(QUESTIONS)
    assert endpoint.most_busy == 4
    places: dict[str, list[int]] = {}
    for place, (_, prompt) in enumerate(endpoint.order):
        places.setdefault(prompt, []).append(place)
    assert max(last - first for first, last in places.values()) <= 4


def test_what_passes_by_itself_is_asked_again(endpoint: Endpoint, log: AnswerLog) -> None:
    throttled: Counter[tuple[str, str]] = Counter()

    def fails(component: str, prompt: str) -> Exception | None:
        throttled[component, prompt] += 1
        return InvocationError("slow down", temporary=True) if throttled[component, prompt] < 4 else None

    endpoint.fails = fails
    summary = Runner(endpoint, log).run(QUESTIONS)
    assert (summary.errors, summary.retries) == (0, 300)


def test_counts_of_a_run_tell_why_it_waits(
    endpoint: Endpoint, log: AnswerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda *_: 0.3)
    errors = (InvocationError("slow down", temporary=True), UnaskedError("no connection", temporary=True))
    failures = iter(errors)
    endpoint.fails = lambda component, prompt: next(failures, None)
    seen: list[AnswerCounts] = []
    Runner(endpoint, log, jobs=1, watch=seen.append).run(QUESTIONS[:2])
    assert seen[0] == AnswerCounts(answered=0, retries=1, reason="slow down")
    assert (seen[-1].answered, seen[-1].errors, seen[-1].retries) == (2, 0, 2)


def test_any_other_failure_is_the_error_of_its_item(endpoint: Endpoint, log: AnswerLog) -> None:
    endpoint.fails = lambda _, prompt: InvocationError("too long") if prompt == "prompt 7" else None
    summary = Runner(endpoint, log).run(QUESTIONS)
    assert (summary.asked, summary.errors, summary.retries) == (100, 2, 0)
    assert (found := log.answer(question(7))) is not None
    assert found.answer.error == "too long"


@pytest.mark.parametrize(
    ("failing", "words", "asked"),
    [("base acme", "20 of 20 answers are errors.*broken", 20), ("acme", "40 of 80 answers are errors", 80)],
)
def test_errors_in_a_row_or_a_large_share_of_them_end_the_run(
    endpoint: Endpoint, log: AnswerLog, failing: str, words: str, asked: int
) -> None:
    endpoint.fails = lambda component, _: InvocationError("broken") if component in failing else None
    with pytest.raises(CommandError, match=words):
        Runner(endpoint, log, jobs=1).run(QUESTIONS)
    assert endpoint.asked.total() == asked


@pytest.mark.parametrize(("temporary", "asked"), [(False, 1), (True, 4)])
def test_request_that_cannot_be_sent_ends_the_run_soon(
    endpoint: Endpoint, log: AnswerLog, temporary: bool, asked: int
) -> None:
    endpoint.fails = lambda component, prompt: UnaskedError("nobody is there", temporary=temporary)
    with pytest.raises(NoAnswerError, match="nobody is there"):
        Runner(endpoint, log, jobs=1).run(QUESTIONS)
    assert endpoint.asked.total() == asked


def test_interrupted_run_keeps_its_answers(endpoint: Endpoint, log: AnswerLog) -> None:
    endpoint.seconds = 0.01
    threading.Timer(0.08, lambda: signal.raise_signal(signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        Runner(endpoint, log, jobs=2).run(QUESTIONS)
    answered = sum(map(log.is_answered, QUESTIONS))
    assert answered == endpoint.asked.total()
    assert 0 < answered < 100
    Runner(endpoint, log).run(QUESTIONS)
    assert set(endpoint.asked.values()) == {1}


def test_full_disk_ends_the_run(endpoint: Endpoint, log: AnswerLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(log, "add", add)
    with pytest.raises(OSError, match="no space left"):
        Runner(endpoint, log).run(QUESTIONS)


def test_pauses_are_random_and_grow_until_the_last_attempt(
    endpoint: Endpoint, log: AnswerLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest: list[float] = []

    def uniform(_: float, most: float) -> float:
        longest.append(most)
        return 0.0

    monkeypatch.setattr(random, "uniform", uniform)
    monkeypatch.setattr(runner_module, "_FIRST_PAUSE_SECONDS", 0.5)
    endpoint.fails = lambda _component, _prompt: InvocationError("slow down", temporary=True)
    assert Runner(endpoint, log, jobs=1).run(QUESTIONS[:1]).errors == 1
    assert longest == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert Runner(endpoint, log, max_attempts=3).run(QUESTIONS[1:2]).errors == 1
    assert list(endpoint.asked.values()) == [10, 3]
