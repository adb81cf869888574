"""Progress bars of uploads and of questions, on a terminal. In a pipe, questions are a line now and then."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from adapter_fleet.common.counts import counted
from adapters_cli.output.text import one_line, print_note, printable

_SECONDS_A_LINE = 30.0

Watch = Callable[[int], None]
"""Called with the number of bytes read so far. An exception from it ends the upload."""


class _Bars:
    """Bars on a terminal, with the text `amount` behind each."""

    def __init__(self, *more: ProgressColumn) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[amount]}", markup=False),
            *more,
            console=Console(stderr=True),
            transient=True,
        )
        self._shown = self._progress.console.is_terminal

    def __enter__(self) -> Self:
        if self._shown:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Remove the bars. May be called several times."""
        if self._shown:
            self._progress.stop()


class TransferBars(_Bars):
    """One bar for all adapters, with bytes and speed, and one for each upload in progress."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._count, self._ended = count, 0
        self._all = self._progress.add_task("adapters", total=count, amount=f"0 of {count}")
        self._began = 0.0
        self.sent = 0
        """Bytes uploaded."""

    @property
    def seconds(self) -> float:
        """Seconds since the first upload began."""
        return time.monotonic() - self._began if self._began else 0.0

    @contextmanager
    def upload(self, name: str, size: int) -> Iterator[Watch]:
        """Show a bar during an upload; yield what the upload calls with its position."""
        with self._lock:
            self._began = self._began or time.monotonic()
        task = self._progress.add_task(one_line(name), total=size, amount="")
        seen = 0

        def watch(position: int) -> None:
            nonlocal seen
            amount = f"{decimal(position)} of {decimal(size)}"
            self._progress.update(task, completed=position, amount=amount)
            # An upload that starts again reads the same bytes once more.
            if position > seen:
                self._note(sent=position - seen)
                seen = position

        try:
            yield watch
        finally:
            self._progress.remove_task(task)

    def done(self) -> None:
        """Count an adapter as finished."""
        self._note(ended=1)

    def _note(self, *, sent: int = 0, ended: int = 0) -> None:
        with self._lock:
            self.sent, self._ended = self.sent + sent, self._ended + ended
            speed = f", {rate(self.sent, self.seconds)}" if self.sent else ""
            amount = f"{self._ended} of {self._count}{speed}"
            self._progress.update(self._all, completed=self._ended, amount=amount)


def rate(sent: int, seconds: float) -> str:
    """Return a number of bytes with their speed: 62.1 MB at 21.0 MB/s."""
    return f"{decimal(sent)} at {decimal(round(sent / seconds))}/s" if seconds else decimal(sent)


@dataclass(frozen=True, kw_only=True)
class AnswerCounts:
    """How far questions are.

    retries:
        Attempts that are repeated.
    reason:
        Why the last attempt failed; None if none did.
    """

    answered: int
    errors: int = 0
    retries: int = 0
    reason: str | None = None


class AnswerBar(_Bars):
    """How many questions are answered, and what failed: a bar on a terminal, else a line now and then."""

    def __init__(self, *, every_seconds: float = _SECONDS_A_LINE) -> None:
        super().__init__(TimeRemainingColumn())
        self._every_seconds = every_seconds

    def watching(self, what: str, count: int) -> Callable[[AnswerCounts], None]:
        """Show so many questions; return what is called with the counts, several times a second."""
        task = self._progress.add_task(what, total=count, amount="")
        said, last = time.monotonic(), AnswerCounts(answered=0)

        def watch(counts: AnswerCounts) -> None:
            nonlocal said, last
            failures = _failures(counts)
            amount = f"{counts.answered:,} of {count:,}"
            self._progress.update(task, completed=counts.answered, amount=amount + failures)
            if self._shown or time.monotonic() - said < self._every_seconds:
                return
            line = f"{amount} {what}{failures}"
            waits = counts.retries > last.retries or counts.answered == last.answered
            if waits and counts.reason is not None:
                line += f": {one_line(counts.reason)}"
            print_note(line)
            said, last = time.monotonic(), counts

        return watch

    def note(self, text: str) -> None:
        """Print a note. Nothing else may, while the bar has the terminal."""
        if self._shown:
            self._progress.console.print(Text(printable(text)))
        else:
            print_note(text)


def _failures(counts: AnswerCounts) -> str:
    errors = f", {counted(counts.errors, 'error')}" if counts.errors else ""
    return f"{errors}, {counts.retries:,} asked again" if counts.retries else errors
