"""The log of an evaluation: every answer is a line, so that an interrupted run loses none.

A line is found by its key, which covers all that the answer depends on: the endpoint, the component and the
version that it serves, the item, the whole request. So a log never gives the answer to another question, and
a larger dataset or another adapter asks only what is new.
"""

import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from adapters_cli.aws.generated_text import TextRequest
from adapters_cli.evaluation.result import Answer
from adapters_cli.output.errors import CommandError, UsageError
from adapters_cli.output.folder_lock import LockedError, locked_folder

LOG_FILE, SETTINGS_FILE = "answers.jsonl", "settings.json"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What one answer is the answer to.

    place:
        The endpoint.
    version:
        What the component serves: identities where they are known, else what changes with them.
    item:
        Id of the dataset's item.
    """

    place: str
    component: str
    version: str
    item: str
    request: TextRequest

    @cached_property
    def key(self) -> str:
        """A digest of everything that the answer depends on."""
        request = self.request
        limits = [request.max_tokens, float(request.temperature), list(request.stop)]
        asked = [request.prompt, [dict(message) for message in request.messages], limits]
        text = json.dumps([self.place, self.component, self.version, self.item, asked], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class LoggedAnswer:
    """An answer in the log.

    run:
        Id of the run that asked.
    """

    answer: Answer
    run: str


@dataclass
class AnswerLog:
    """The answers of one folder. Only one command at a time has it open.

    run:
        The id of this run, which the answers get that come from now on.
    unreadable:
        Lines that hold no answer, such as one that was torn by a crash. Their questions are asked again.
    """

    path: Path
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    unreadable: int = 0
    _answers: dict[str, LoggedAnswer] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _descriptor: int = -1

    def changed_settings(self, settings: Mapping[str, Any]) -> list[str]:
        """Keep what all answers of this run depend on; return what an earlier run had otherwise."""
        file = self.path.with_name(SETTINGS_FILE)
        try:
            before = dict(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            before = {}
        file.write_text(json.dumps({**before, **settings}, indent=2) + "\n", encoding="utf-8")
        return [
            f"{name} was {before[name]} and is {value}"
            for name, value in settings.items()
            if self._answers and name in before and before[name] != value
        ]

    def answer(self, question: Question) -> LoggedAnswer | None:
        """Return the last answer to a question; None if it was not asked."""
        return self._answers.get(question.key)

    def is_answered(self, question: Question) -> bool:
        """Return True if a question has an answer that is no error. Errors are asked again."""
        found = self.answer(question)
        return found is not None and found.answer.error is None

    def unanswered(self, questions: Iterable[Question]) -> list[Question]:
        """Return the questions that are to be asked."""
        return [question for question in questions if not self.is_answered(question)]

    def add(self, question: Question, answer: Answer) -> None:
        """Append an answer. It is in the file when this returns, whatever happens to the process."""
        line = {
            "key": question.key,
            "at": round(time.time(), 3),
            "run": self.run,
            "component": question.component,
            "item": question.item,
            **_fields(answer),
        }
        content = json.dumps(line, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
        with self._lock:
            if self._descriptor < 0:
                return  # the command has ended, and did not wait for this answer
            # One write, so that a kill leaves a whole line or the beginning of one.
            os.write(self._descriptor, content)
            self._answers[question.key] = LoggedAnswer(answer=answer, run=self.run)

    def _open(self) -> None:
        self._read()
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def _close(self) -> None:
        with self._lock:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> None:
        """Read the answers, and cut off a last line that was torn by a kill."""
        content = self.path.read_bytes() if self.path.exists() else b""
        whole, end, torn = content.rpartition(b"\n")
        if torn:
            os.truncate(self.path, len(whole) + len(end))
        for line in filter(None, whole.split(b"\n")):
            try:
                key, logged = _parsed(json.loads(line))
            except (ValueError, KeyError, TypeError):
                self.unreadable += 1
                continue
            self._answers[key] = logged


def _fields(answer: Answer) -> dict[str, Any]:
    if answer.error is not None:
        return {"error": answer.error}
    return {
        "text": answer.text,
        "seconds": None if answer.seconds is None else round(answer.seconds, 6),
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
    }


def _parsed(line: Mapping[str, Any]) -> tuple[str, LoggedAnswer]:
    """Return the key and the answer of a line. Raises KeyError, TypeError or ValueError for another line."""
    if "error" in line:
        answer = Answer(error=str(line["error"]))
    else:
        answer = Answer(
            text=line["text"],
            seconds=line["seconds"],
            prompt_tokens=line["prompt_tokens"],
            completion_tokens=line["completion_tokens"],
        )
        if not isinstance(answer.text, str):
            raise TypeError("a line's text should be a string")
    return str(line["key"]), LoggedAnswer(answer=answer, run=str(line["run"]))


@contextmanager
def open_log(folder: Path) -> Iterator[AnswerLog]:
    """Open the log of a folder. Raises CommandError while another command has it open.

    A new folder is for this user alone, as the log and the reports have customers' texts.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(f"--output should be a folder, got the file {folder}") from None
    try:
        with locked_folder(folder, wait=False):
            log = AnswerLog(folder / LOG_FILE)
            log._open()
            try:
                yield log
            finally:
                log._close()
    except LockedError:
        raise CommandError(
            f"another command evaluates into {folder}; wait for its end, or give another --output"
        ) from None
