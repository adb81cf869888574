"""Progress bars of uploads and of questions, on a terminal. In a pipe nothing is shown."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from adapters_cli.output.text import one_line

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


class AnswerBar:
    """A bar for questions: how many are answered, how many answers are errors, and how long it takes yet."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _AnswerAmount(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._lock = threading.Lock()
        self._errors = 0

    def __enter__(self) -> "AnswerBar":
        if self._progress.console.is_terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress.console.is_terminal:
            self._progress.stop()

    def watching(self, what: str, count: int) -> Callable[[bool], None]:
        """Show a bar for so many questions; return what is called after each with False for an error."""
        self._errors = 0
        task = self._progress.add_task(what, total=count, errors=0)

        def watch(answered: bool) -> None:
            with self._lock:
                self._errors += not answered
                self._progress.update(task, advance=1, errors=self._errors)

        return watch


class _AnswerAmount(ProgressColumn):
    """How many questions are answered, and how many answers are errors."""

    def render(self, task: Task) -> Text:
        errors = f", {task.fields['errors']} errors" if task.fields["errors"] else ""
        return Text(f"{task.completed:.0f} of {task.total or 0:.0f}{errors}")
