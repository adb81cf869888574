"""Writes what a run of tests saw into a guide."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def write_below(guide: Path, beginning: str, parts: Sequence[str]) -> None:
    """Replace what is below a line of a guide."""
    text, found, _ = guide.read_text().partition(beginning)
    if not found:
        raise ValueError(f"{guide} should have the line {beginning!r}")
    guide.write_text("\n\n".join([f"{text}{beginning}", *parts]) + "\n")


def last_run(result: str) -> str:
    """Say when, on which commit and with which result the tests ran."""
    return f"Last run: {_today()}, commit {_commit()}: {result}."


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format a table in Markdown."""
    lines = [f"| {' | '.join(map(str, row))} |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _commit() -> str:
    return subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
