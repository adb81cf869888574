"""Progress bars of uploads and of questions, on a terminal. In a pipe, questions are a line now and then."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from adapter_fleet.common.counts import counted
from adapters_cli.output.text import one_line, print_note, printable

_SECONDS_A_LINE = 30.0

Watch = Callable[[int], None]
"""Called with the number of bytes read so far. An exception from it ends the upload."""


class TransferBars:
    """One bar for all adapters, with bytes and speed, and one for each upload in progress."""

    def __init__(self, count: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _Amount(),
            console=Console(stderr=True),
            transient=True,
        )
        self._shown = self._progress.console.is_terminal
        self._lock = threading.Lock()
        self._all = self._progress.add_task("adapters", total=count, sent=0, seconds=0.0)
        self._began = 0.0
        self.sent = 0
        """Bytes uploaded."""

    def __enter__(self) -> "TransferBars":
        if self._shown:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Remove the bars. May be called several times."""
        if self._shown:
            self._progress.stop()

    @property
    def seconds(self) -> float:
        """Seconds since the first upload began."""
        return time.monotonic() - self._began if self._began else 0.0

    @contextmanager
    def upload(self, name: str, size: int) -> Iterator[Watch]:
        """Show a bar during an upload; yield what the upload calls with its position."""
        with self._lock:
            self._began = self._began or time.monotonic()
        task = self._progress.add_task(one_line(name), total=size)
        seen = 0

        def watch(position: int) -> None:
            nonlocal seen
            self._progress.update(task, completed=position)
            # An upload that starts again reads the same bytes once more.
            if position > seen:
                self._count(position - seen)
                seen = position

        try:
            yield watch
        finally:
            self._progress.remove_task(task)

    def _count(self, sent: int) -> None:
        with self._lock:
            self.sent += sent
            self._progress.update(self._all, sent=self.sent, seconds=self.seconds)

    def done(self) -> None:
        """Count an adapter as finished."""
        self._progress.advance(self._all)


def rate(sent: int, seconds: float) -> str:
    """Return a number of bytes with their speed: 62.1 MB at 21.0 MB/s."""
    return f"{decimal(sent)} at {decimal(round(sent / seconds))}/s" if seconds else decimal(sent)


class _Amount(ProgressColumn):
    """The number of adapters, or the bytes of one upload."""

    def render(self, task: Task) -> Text:
        if "sent" in task.fields:
            sent, seconds = task.fields["sent"], task.fields["seconds"]
            count = f"{task.completed:.0f} of {task.total or 0:.0f}"
            return Text(f"{count}, {rate(sent, seconds)}" if sent else count)
        speed = f", {decimal(round(task.speed))}/s" if task.speed else ""
        return Text(f"{decimal(int(task.completed))} of {decimal(int(task.total or 0))}{speed}")


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


class AnswerBar:
    """How many questions are answered, and what failed: a bar on a terminal, else a line now and then."""

    def __init__(self, *, every_seconds: float = _SECONDS_A_LINE) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _AnswerAmount(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._every_seconds = every_seconds

    def __enter__(self) -> "AnswerBar":
        if self._progress.console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress.console.is_terminal:
            self._progress.stop()

    def watching(self, what: str, count: int) -> Callable[[AnswerCounts], None]:
        """Show so many questions; return what is called with the counts, several times a second."""
        task = self._progress.add_task(what, total=count, counts=AnswerCounts(answered=0))
        said, last = time.monotonic(), AnswerCounts(answered=0)

        def watch(counts: AnswerCounts) -> None:
            nonlocal said, last
            self._progress.update(task, completed=counts.answered, counts=counts)
            if self._progress.console.is_terminal or time.monotonic() - said < self._every_seconds:
                return
            line = f"{counts.answered:,} of {count:,} {what}{_failures(counts)}"
            waits = counts.retries > last.retries or counts.answered == last.answered
            if waits and counts.reason is not None:
                line += f": {one_line(counts.reason)}"
            print_note(line)
            said, last = time.monotonic(), counts

        return watch

    def note(self, text: str) -> None:
        """Print a note. Nothing else may, while the bar has the terminal."""
        if self._progress.console.is_terminal:
            self._progress.console.print(Text(printable(text)))
        else:
            print_note(text)


class _AnswerAmount(ProgressColumn):
    """How many questions are answered, and how many answers failed."""

    def render(self, task: Task) -> Text:
        counts: AnswerCounts = task.fields["counts"]
        return Text(f"{counts.answered:,} of {task.total or 0:,.0f}{_failures(counts)}")


def _failures(counts: AnswerCounts) -> str:
    errors = f", {counted(counts.errors, 'error')}" if counts.errors else ""
    return f"{errors}, {counts.retries:,} asked again" if counts.retries else errors
