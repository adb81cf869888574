"""Threads that do the same work side by side, and a wait for their end that Ctrl-C may interrupt."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_READERS = 8
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_LONGEST_WAIT_SECONDS = 0.2
"""A signal that another thread gets does not end a wait that has no end."""


def read_each(keys: Iterable[_Key], read: Callable[[_Key], _Value]) -> dict[_Key, _Value]:
    """Return what `read` returns for each key, in the order of the keys. Eight calls run at a time."""
    listed = list(keys)
    with ThreadPoolExecutor(_READERS) as readers:
        return dict(zip(listed, readers.map(read, listed), strict=True))


class WorkerThreads:
    """Threads of one piece of work. The process does not wait for them when it ends.

    `Thread.join` is not used: before Python 3.13, a `join` that Ctrl-C interrupts takes the running thread
    for an ended one (bpo-45274), so that no later `join` waits for it.
    """

    def __init__(self, work: Callable[[], object], count: int) -> None:
        self._work = work
        self._running = count
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        if not count:
            self._ended.set()

    def run(
        self,
        stop: Callable[[], None],
        grace_seconds: float,
        *,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Start the threads and wait for their end.

        An exception that interrupts it, such as Ctrl-C, calls `stop`, and is raised when the threads have
        ended, or after `grace_seconds`. `meanwhile` is called several times a second.
        """
        try:
            for thread in self._threads:
                thread.start()
            while not self._ended.wait(_LONGEST_WAIT_SECONDS):
                meanwhile()
        except BaseException:
            stop()
            self._left(sum(thread.ident is None for thread in self._threads))  # those that never started
            self._ended.wait(grace_seconds)
            raise

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._left(1)

    def _left(self, count: int) -> None:
        with self._lock:
            self._running -= count
            if not self._running:
                self._ended.set()
