"""Writes what tests made or saw into a guide."""

import datetime
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


def write_below(guide: Path, beginning: str, parts: Sequence[str]) -> None:
    """Replace what is below a line of a guide."""
    text, found, _ = guide.read_text().partition(beginning)
    if not found:
        raise ValueError(f"{guide} should have the line {beginning!r}")
    guide.write_text("\n\n".join([f"{text}{beginning}", *parts]) + "\n")


@dataclass(frozen=True, kw_only=True)
class MadePart:
    """What `text` makes for a guide, from the line `begin` to the line `end`."""

    guide: Path
    begin: str
    end: str
    text: Callable[[], str]

    def in_guide(self) -> str:
        """Return what the guide has there."""
        return self.guide.read_text().partition(f"{self.begin}\n\n")[2].partition(f"\n\n{self.end}")[0]

    def write(self) -> None:
        """Write what is made into the guide."""
        before, begin, rest = self.guide.read_text().partition(self.begin)
        _, end, after = rest.partition(self.end)
        assert begin
        assert end
        self.guide.write_text(f"{before}{begin}\n\n{self.text()}\n\n{end}{after}")


def last_run(result: str) -> str:
    """Say when, on which commit and with which result the tests ran."""
    return f"Last run: {_today()}, commit {code_commit()}: {result}."


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format a table in Markdown."""
    lines = [f"| {' | '.join(map(str, row))} |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def code_commit() -> str:
    """Return the newest commit of code, with `-dirty` if code has changed since: tests write into pages."""
    code = ["--", ".", ":!*.md"]
    newest = ["git", "log", "-1", "--format=%h", "--abbrev=8", *code]
    status = ["git", "status", "--porcelain", *code]
    commit, changed = (
        subprocess.check_output(each, cwd=ROOT, text=True).strip() for each in (newest, status)
    )
    return f"{commit}-dirty" if changed else commit
