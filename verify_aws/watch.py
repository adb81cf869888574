"""Asks one component over and over, while something happens to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import groupby

from verify_aws.account import RefusedError
from verify_aws.prompts import BASE, ONE, OTHER, TWO, error_label


class Watch:
    """Asks without a pause, on a thread of its own.

    who asks once, and returns who answered. shown returns an error's text as the transcript has it.
    """

    def __init__(self, who: Callable[[], str], shown: Callable[[str], str]) -> None:
        self._who = who
        self._shown = shown
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._seen: list[tuple[float, str]] = []
        self.errors: list[str] = []

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._ended.set()
        self._thread.join(120)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                label = self._who()
            except RefusedError as refused:
                label = error_label(refused)
                self.errors.append(self._shown(str(refused)))
            except Exception as error:
                # Such as the end of the run, which the main thread meets as well.
                self.errors.append(repr(error))
                return
            self._seen.append((time.monotonic(), label))
            self._ended.wait(0.05)

    @property
    def sequence(self) -> list[str]:
        """Who answered, one after the other."""
        return [label for label, _ in groupby(label for _, label in self._seen)]

    @property
    def error_seconds(self) -> float:
        """From the first error to the first answer after the last one."""
        failed = [
            index for index, (_, label) in enumerate(self._seen) if label not in (BASE, ONE, TWO, OTHER)
        ]
        if not failed:
            return 0.0
        after = min(failed[-1] + 1, len(self._seen) - 1)
        return self._seen[after][0] - self._seen[failed[0]][0]
