"""The record of a run, in JSON lines: the run, every call, and every experiment's answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verify_aws.redaction import Redactor

FORMAT = "verify-aws 1"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an experiment found.

    fields:
        The answer as data, in words that do not differ between two runs in the same cloud.
    settings:
        By setting of the embedded cloud, the values with which it would have given this answer; none if the
        answer does not tell.
    measured:
        Seconds, rates and counts, which differ from run to run.
    """

    fields: Mapping[str, Any]
    settings: Mapping[str, list[Any]] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)


class Transcript:
    """Records a run, redacted. Calls that repeat themselves are one line with their number.

    The file is written after each experiment, so that a run that is killed leaves what it had found.
    """

    def __init__(self, path: Path, redactor: Redactor, header: Mapping[str, Any]) -> None:
        self._path = path
        self._redactor = redactor
        self._lines: list[dict[str, Any]] = [redactor.value({"format": FORMAT, **header})]
        self._latest: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def text(self, text: str) -> str:
        """Redact a text."""
        return self._redactor.text(text)

    def call(
        self,
        call: str,
        request: Mapping[str, Any],
        *,
        seconds: float,
        answer: Any = None,
        error: Exception | None = None,
    ) -> None:
        """Record a call. One with the answer that it had the last time is counted there."""
        outcome = (
            {"answer": self._redactor.value(answer)}
            if error is None
            else {"error": self.text(str(error) or repr(error))}
        )
        line = {"call": call, "request": self._redactor.value(request), **outcome}
        subject = json.dumps([line["call"], line["request"]])
        with self._lock:
            latest = self._latest.get(subject)
            if latest is not None and {key: latest.get(key) for key in line} == line:
                latest["repeated"] = latest.get("repeated", 0) + 1
                return
            line["seconds"] = round(seconds, 3)
            self._latest[subject] = line
            self._lines.append(line)

    def experiment(
        self,
        name: str,
        *,
        seconds: float,
        answer: Answer | None = None,
        error: Exception | None = None,
    ) -> None:
        """Record an experiment's answer, or why it has none."""
        line: dict[str, Any] = {"experiment": name}
        if answer is not None:
            line["answer"] = self._redactor.value(answer.fields)
            line["settings"] = dict(answer.settings)
            line["measured"] = {name: round(value, 3) for name, value in answer.measured.items()}
        if error is not None:
            line["error"] = self.text(f"{type(error).__name__}: {error}")
        self._add(line | {"seconds": round(seconds, 1)})

    def note(self, note: str) -> None:
        """Record what else happened, such as an interruption."""
        self._add({"note": self.text(note)})

    def _add(self, line: dict[str, Any]) -> None:
        with self._lock:
            self._lines.append(line)
            # What comes next belongs to another experiment.
            self._latest.clear()
        self.save()

    def save(self) -> None:
        """Write the file, as a whole or not at all."""
        with self._lock:
            content = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in self._lines)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_suffix(".tmp")
        unfinished.write_text(content, encoding="utf-8")
        unfinished.replace(self._path)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a transcript says of one experiment; error is why it has no answer."""

    fields: Mapping[str, Any]
    settings: Mapping[str, list[Any]]
    measured: Mapping[str, float]
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """A transcript that was read: its header, and the experiments by name."""

    header: Mapping[str, Any]
    outcomes: Mapping[str, Outcome]

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read a transcript; ValueError if the file is none."""
        try:
            header, *lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except ValueError as error:
            raise ValueError(f"{path} should be a transcript in JSON lines: {error}") from error
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise ValueError(f"{path} should be a transcript of the format {FORMAT!r}")
        outcomes = {
            line["experiment"]: Outcome(
                fields=line.get("answer", {}),
                settings=line.get("settings", {}),
                measured=line.get("measured", {}),
                error=line.get("error"),
            )
            for line in lines
            if "experiment" in line
        }
        return cls(header=header, outcomes=outcomes)

    def values(self, setting: str) -> list[Any] | None:
        """The values of a setting with which every answer agrees; None if no answer tells."""
        told = [found for one in self.outcomes.values() if (found := one.settings.get(setting))]
        if not told:
            return None
        return [value for value in told[0] if all(value in other for other in told)]


def differences(one: Record, other: Record) -> list[tuple[str, str, Any, Any]]:
    """The experiments and fields in which two transcripts differ, with both values.

    The field of an experiment that has no answer, on either side, is "error".
    """
    found = []
    for name in dict.fromkeys((*one.outcomes, *other.outcomes)):
        first, second = _compared(one, name), _compared(other, name)
        for key in dict.fromkeys((*first, *second)):
            if first.get(key) != second.get(key):
                found.append((name, key, first.get(key), second.get(key)))
    return found


def _compared(record: Record, name: str) -> Mapping[str, Any]:
    outcome = record.outcomes.get(name)
    if outcome is None:
        return {"error": "not run"}
    return outcome.fields if outcome.error is None else {"error": outcome.error}
