"""What a terminal shows while archives are transferred."""

import io
import re
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from adapters_cli.artifacts.archive_store import ArchiveStore
from adapters_cli.output import progress_bars as transfer_bars
from adapters_cli.output.progress_bars import AnswerCounts
from tests.cli.publishing import World


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is written to a terminal of a hundred columns."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=100)
    monkeypatch.setattr(transfer_bars, "Console", lambda **_: console)
    return written


def counts(terminal: io.StringIO) -> list[str]:
    return re.findall(r"\d of 3\b", terminal.getvalue())


def test_bar_counts_the_adapters_that_are_done_before_their_table(
    terminal: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.add("acme", "beta", "delta")
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    result = world.publish(jobs=3)
    assert counts(terminal)[-1] == "3 of 3"
    assert all(shown in terminal.getvalue() for shown in ("━", "B/s"))
    assert ("IDENTITY" in result.stdout, "3 adapters: 3 uploaded" in result.stderr) == (True, True)


def test_bars_end_with_an_interruption(
    terminal: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.add("acme", "beta", "delta")
    under_way = threading.Barrier(3)

    def upload(_store: ArchiveStore, key: str, *_: object) -> str:
        under_way.wait(10)
        if "/acme/" in key:
            raise KeyboardInterrupt
        # The others take a while to notice.
        time.sleep(0.2)
        return "etag"

    monkeypatch.setattr(ArchiveStore, "upload", upload)
    assert world.publish(jobs=3).exit_code == 130
    assert counts(terminal)[-1] == "0 of 3"


def test_answers_and_errors_are_counted(terminal: io.StringIO) -> None:
    with transfer_bars.AnswerBar() as bar:
        watch = bar.watching("answers", 3)
        watch(AnswerCounts(answered=1, retries=4))
        watch(AnswerCounts(answered=3, errors=1, retries=4))
        bar.note("scoring \x07answers")
        others = bar.watching("answers", 1)
        others(AnswerCounts(answered=1))
    shown = terminal.getvalue()
    assert "3 of 3, 1 error, 4 asked again" in shown
    assert "scoring \N{REPLACEMENT CHARACTER}answers" in shown
    assert "1 of 1" in shown
    assert "1 of 1, 1 error" not in shown


def test_without_a_terminal_answers_are_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    for every_seconds in (0, 30):
        with transfer_bars.AnswerBar(every_seconds=every_seconds) as bar:
            watch = bar.watching("answers", 2_000)
            for answered in (600, 601, 601):
                watch(AnswerCounts(answered=answered, retries=7, reason="no connection"))
    assert capsys.readouterr().err.splitlines() == [
        "600 of 2,000 answers, 7 asked again: no connection",
        "601 of 2,000 answers, 7 asked again",
        "601 of 2,000 answers, 7 asked again: no connection",
    ]
