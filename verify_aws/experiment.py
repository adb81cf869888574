"""An experiment: one open question about SageMaker, and the steps that answer it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from verify_aws.stage import Stage
from verify_aws.transcript import Answer

Steps = Callable[[Stage], Answer]

ABOVE_ZERO = "above 0"
"""What an answer says of a setting that is a number: it is 0, or this."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One open question.

    name:
        The name in transcripts and for `--only`.
    question:
        What is asked, in one sentence.
    fact:
        What is known so far, and how surely: [V] verified, [T] said by one third party, [I] inferred.
    run:
        The steps; they return the answer. An exception is recorded as the experiment's error.
    follows:
        By field of the answer, the settings of the embedded cloud that it depends on. A field that is not
        here is the same in every profile.
    """

    name: str
    question: str
    fact: str
    run: Steps
    follows: Mapping[str, tuple[str, ...]]


def experiment(
    *, fact: str, follows: Mapping[str, tuple[str, ...]] | None = None
) -> Callable[[Steps], Experiment]:
    """Make an experiment of a function: its name is the experiment's, and its docstring the question."""

    def made(run: Steps) -> Experiment:
        assert run.__doc__ is not None  # it is the question
        question = " ".join(run.__doc__.split())
        return Experiment(name=run.__name__, question=question, fact=fact, run=run, follows=follows or {})

    return made


def number(above_zero: bool) -> list[object]:
    """Return the values of a setting that is a number."""
    return [ABOVE_ZERO if above_zero else 0]
