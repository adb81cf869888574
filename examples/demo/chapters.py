"""The chapters of the demo: what each shows, why that matters, and about how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from examples.demo.report import Report


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A part of the demo.

    seconds:
        What it takes on two idle cores. Times of other machines are scaled by the chapters before.
    """

    title: str
    why: str
    seconds: float
    play: Callable[[], None]


INTRODUCTION = """\
An AWS account in one process on this machine: no real account, no GPU, no docker. The CDK command line
and the `adapters` command run as they would against AWS, and a small model generates real text.
Each ✓ is something that was asked and judged; $ is a command with what it printed."""

NEXT_STEPS = """\
Try next, in this folder. Two shells; the first one keeps the cloud until Ctrl-C:

  make local

The second one, after pasting the `export` lines that the first one printed:

  source .venv/bin/activate && export PATH="$PWD/node_modules/.bin:$PATH"
  cdk bootstrap && cdk deploy --require-approval never
  export ADAPTERS_STACK=MultiAdapterInference-local
  adapters status
  adapters invoke tenant-001 tenant-002 'Ticket: Grace from Lima wants a refund for the keyboard.' --base
  sed -i.bak '/tenant-003,/d' environments/local.adapters.yaml
  adapters plan environments/local.adapters.yaml
  cdk deploy --require-approval never && adapters history tenant-003
  mv environments/local.adapters.yaml.bak environments/local.adapters.yaml

docs/guides/adapters.md goes from a training run of yours to a served adapter."""


def play(chapters: Sequence[Chapter], report: Report, clock: Callable[[], float] = time.monotonic) -> None:
    """Play the chapters in order, each announced with about how long the rest takes."""
    started, played = clock(), 0.0
    for at, chapter in enumerate(chapters, start=1):
        rest = sum(later.seconds for later in chapters[at - 1 :])
        pace = (clock() - started) / played if played else 1.0
        report.chapter(f"{at}/{len(chapters)} {chapter.title}", why=chapter.why, left=rest * pace)
        chapter.play()
        played += chapter.seconds
