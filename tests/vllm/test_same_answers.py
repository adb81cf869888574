"""The base and every adapter answer with the same texts on both engines."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.local.model_server.tickets import KINDS, PROMPTS
from tests.vllm.copies import RunningCopy, at_once

pytestmark = pytest.mark.vllm

Texts = dict[str, list[set[str]]]
"""By label, the texts that were seen for each prompt."""


def completions(copy: RunningCopy, label: str, prompt: dict[str, Any]) -> str:
    return copy.complete(label, prompt["prompt"])


def chats(copy: RunningCopy, label: str, prompt: dict[str, Any]) -> str:
    return copy.chat(label, prompt["ticket"])


FORMS: dict[str, Callable[[RunningCopy, str, dict[str, Any]], str]] = {
    "completions": completions,
    "chat": chats,
}


def texts(copy: RunningCopy, form: str, *, together: int) -> Texts:
    """Ask every label for every prompt, `together` requests at once, in a mixed order."""
    jobs = [(label, number) for number in range(len(PROMPTS)) for label in KINDS]
    if together > 1:
        jobs = 3 * jobs  # other neighbours each time
        random.Random(1).shuffle(jobs)

    def ask(job: tuple[str, int]) -> str:
        label, number = job
        return FORMS[form](copy, label, PROMPTS[number])

    seen: Texts = {label: [set() for _ in PROMPTS] for label in KINDS}
    for (label, number), text in zip(jobs, at_once(together, ask, jobs), strict=True):
        seen[label][number].add(text)
    return seen


@pytest.mark.parametrize("together", [1, 8])
@pytest.mark.parametrize("form", FORMS)
def test_texts_are_the_same(numpy: RunningCopy, vllm: RunningCopy, form: str, together: int) -> None:
    expected, seen = [texts(copy, form, together=together) for copy in (numpy, vllm)]
    assert expected == {label: [{prompt["answers"][label]} for prompt in PROMPTS] for label in KINDS}
    assert seen == expected


def without_probabilities(line: str) -> Any:
    """Read an object, and round what the engines may compute a little differently."""
    return json.loads(line or "null", parse_float=lambda number: round(float(number), 3))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("label", KINDS)
def test_lmi_bodies_have_the_same_answers(
    numpy: RunningCopy, vllm: RunningCopy, label: str, stream: bool
) -> None:
    parameters = {"max_new_tokens": 60, "temperature": 0, "details": True}
    body = {"inputs": PROMPTS[0]["prompt"], "parameters": parameters, "stream": stream}
    expected, seen = [copy.invoke(label, body) for copy in (numpy, vllm)]
    assert (seen.status_code, seen.headers["content-type"]) == (200, expected.headers["content-type"])
    lines = [list(map(without_probabilities, answer.text.splitlines())) for answer in (seen, expected)]
    assert lines[0] == lines[1]
