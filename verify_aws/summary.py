"""What a transcript says of the embedded cloud's settings, in Markdown."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local_sagemaker.settings import PROFILES, Settings
from verify_aws.experiment import ABOVE_ZERO
from verify_aws.experiments.catalog import EXPERIMENTS, NOT_ASKED
from verify_aws.transcript import Outcome, Record

_SHOWN = ("date", "region", "instance_type", "container", "image", "model", "botocore")
_SETTINGS = tuple(field.name for field in dataclasses.fields(Settings))


def agrees(values: Sequence[Any], actual: Any) -> bool:
    """Whether a setting's value is one of those with which an answer agrees."""
    above = isinstance(actual, (int, float)) and not isinstance(actual, bool) and actual > 0
    return actual in values or (above and ABOVE_ZERO in values)


def settings_of(record: Record) -> dict[str, Any]:
    """Return settings with which the embedded cloud gives the answers of a transcript.

    Where several values do, it is that of the profile `kind` if it is among them. A number above 0 is that of
    the profile `hostile`.
    """
    found = {}
    for name in _SETTINGS:
        values = record.values(name)
        if not values or agrees(values, getattr(PROFILES["kind"], name)):
            continue
        found[name] = getattr(PROFILES["hostile"], name) if ABOVE_ZERO in values else values[0]
    return found


def summary(record: Record) -> str:
    """Return the summary of a transcript."""
    header = record.header
    lines = [
        f"# What {header['against']} answered",
        "",
        ", ".join(f"{name.replace('_', ' ')} {header[name]}" for name in _SHOWN if name in header) + ".",
        "",
        "## Settings of the embedded cloud",
        "",
        "| setting | the answers agree with | profile `kind` | what to do |",
        "|---|---|---|---|",
        *_settings(record),
        "",
        "## Answers",
        "",
        *(
            line
            for one in EXPERIMENTS
            for line in _answer(one.question, one.fact, record.outcomes.get(one.name))
        ),
        "## Not asked",
        "",
        "| setting | why |",
        "|---|---|",
        *(f"| `{name}` | {why} |" for name, why in NOT_ASKED.items()),
        "",
    ]
    return "\n".join(lines)


def _settings(record: Record) -> Iterator[str]:
    for name in _SETTINGS:
        if name in NOT_ASKED:
            continue
        kind, values = getattr(PROFILES["kind"], name), record.values(name)
        if values is None:
            told, action = "(no answer tells)", "nothing"
        elif not values:
            told, action = "(answers disagree with each other)", "look at the transcript"
        else:
            told = " or ".join(f"`{value}`" for value in values)
            action = "confirmed" if agrees(values, kind) else f"**change `kind`: {told}**"
        yield f"| `{name}` | {told} | `{kind}` | {action} |"


def _answer(question: str, fact: str, outcome: Outcome | None) -> Iterator[str]:
    yield from (f"### {question}", "", f"Known before: {fact}", "")
    if outcome is None:
        yield from ("Not run.", "")
        return
    if outcome.error is not None:
        yield from (f"No answer: `{outcome.error}`", "")
    for name, value in outcome.fields.items():
        yield f"- {name.replace('_', ' ')}: {_shown(value)}"
    yield from _measured(outcome.measured)
    yield ""


def _measured(measured: Mapping[str, float]) -> Iterator[str]:
    if measured:
        yield "- measured: " + ", ".join(
            f"{name.replace('_', ' ')} {value:g}" for name, value in measured.items()
        )


def _shown(value: Any) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}`"
