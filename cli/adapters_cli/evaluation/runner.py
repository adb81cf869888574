"""Asks questions, several at a time, and logs every answer.

Questions are asked in the order given, so that the questions about an item that stand beside each other meet
the same load. What passes by itself, such as throttling, is asked again after a random pause ("full jitter",
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). Anything else is the answer's
error.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from adapter_fleet.common.counts import counted
from adapters_cli.aws.generated_text import GeneratedText, TextRequest
from adapters_cli.aws.runtime_endpoint import InvocationError, UnaskedError
from adapters_cli.aws.worker_threads import WorkerThreads
from adapters_cli.evaluation.answer_log import AnswerLog, Question
from adapters_cli.evaluation.result import Answer
from adapters_cli.output.errors import CommandError, NoAnswerError
from adapters_cli.output.progress_bars import AnswerCounts

Ask = Callable[[str, TextRequest], GeneratedText]
"""Asks a component. Raises InvocationError."""

_MAX_ATTEMPTS = 10
_UNREACHED_ATTEMPTS = 4
"""A run in which no request ever reached anybody ends after so many attempts: the address is wrong."""

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0

_ERRORS_IN_A_ROW = 20
"""The run ends after so many errors with no answer between them."""

_ERROR_SHARE = 0.25
_ERROR_SHARE_FROM = 80
"""From so many questions on, the run also ends if more than that share are errors."""

_GRACE_SECONDS = 5.0
"""How long the end after Ctrl-C waits for answers that are on their way."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What one run has asked.

    asked, errors:
        How many questions got an answer or an error in this run.
    reused:
        How many questions the log had the answer to already.
    retries:
        How many attempts were repeated.
    seconds:
        From the first question to the last answer.
    """

    asked: int
    errors: int
    reused: int
    retries: int
    seconds: float


class Runner:
    """Asks questions with so many threads, and writes the answers to a log.

    watch:
        Called with the counts, several times a second and in the end.
    """

    def __init__(
        self,
        ask: Ask,
        log: AnswerLog,
        *,
        jobs: int = 8,
        watch: Callable[[AnswerCounts], None] = lambda _counts: None,
        max_attempts: int = _MAX_ATTEMPTS,
    ) -> None:
        self._ask, self._log, self._jobs, self._watch = ask, log, jobs, watch
        self._max_attempts = max_attempts
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._asked = self._errors = self._in_a_row = self._retries = 0
        self._end: BaseException | None = None
        self._reason: str | None = None
        self._reached = False

    def run(self, questions: Sequence[Question]) -> RunSummary:
        """Ask the questions that the log has no answer to. A run that ends early keeps its answers.

        Raises CommandError after too many errors, NoAnswerError if no request can be sent, and
        KeyboardInterrupt.
        """
        unanswered = self._log.unanswered(questions)
        asked_again = {question.key for question in unanswered}
        known = [self._log.answer(each) for each in questions if each.key not in asked_again]
        reused = sum(found is not None and found.run != self._log.run for found in known)
        rest = iter(unanswered)
        started = time.perf_counter()
        # A second Ctrl-C does not wait for the answers.
        threads = WorkerThreads(lambda: self._work(rest), self._jobs)
        threads.run(self._stop.set, _GRACE_SECONDS, meanwhile=lambda: self._watch(self._counts()))
        self._watch(self._counts())
        if self._end is not None:
            raise self._end
        return RunSummary(
            asked=self._asked,
            errors=self._errors,
            reused=reused,
            retries=self._retries,
            seconds=time.perf_counter() - started,
        )

    def _counts(self) -> AnswerCounts:
        with self._lock:
            return AnswerCounts(
                answered=self._asked, errors=self._errors, retries=self._retries, reason=self._reason
            )

    def _work(self, rest: Iterator[Question]) -> None:
        while not self._stop.is_set():
            with self._lock:
                question = next(rest, None)
            if question is None:
                return
            try:
                answer = self._answer(question)
                if answer is None:
                    return
                self._log.add(question, answer)
                self._count(answer)
            except BaseException as error:  # such as a full disk: the run cannot go on
                self._finish(error)
                return

    def _answer(self, question: Question) -> Answer | None:
        """Return the answer to a question, or its error; None if the run ends before."""
        for attempt in range(self._max_attempts):
            try:
                found = self._ask(question.component, question.request)
            except InvocationError as error:
                if isinstance(error, UnaskedError):
                    if not error.temporary or (not self._reached and attempt + 1 >= _UNREACHED_ATTEMPTS):
                        raise NoAnswerError(str(error)) from error  # no credentials, for example
                else:
                    self._reached = True
                if not error.temporary or attempt == self._max_attempts - 1:
                    return Answer(error=str(error))
                with self._lock:
                    self._retries += 1
                    self._reason = str(error)
                longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempt)
                if self._stop.wait(random.uniform(0, longest)):
                    return None
            else:
                self._reached = True
                return Answer(
                    text=found.text,
                    seconds=found.seconds,
                    prompt_tokens=found.prompt_tokens,
                    completion_tokens=found.completion_tokens,
                )
        raise AssertionError

    def _count(self, answer: Answer) -> None:
        with self._lock:
            self._asked += 1
            self._errors += answer.error is not None
            self._in_a_row = 0 if answer.error is None else self._in_a_row + 1
            many = self._asked >= _ERROR_SHARE_FROM and self._errors > _ERROR_SHARE * self._asked
            reason = answer.error if self._in_a_row >= _ERRORS_IN_A_ROW or many else None
            are = "is an error" if self._errors == 1 else "are errors"
            counts = f"{self._errors} of {counted(self._asked, 'answer')} {are}"
        if reason is not None:
            self._finish(CommandError(f"{counts}, so the rest is not asked; the last one is: {reason}"))

    def _finish(self, error: BaseException) -> None:
        with self._lock:
            self._end = self._end or error
        self._stop.set()
