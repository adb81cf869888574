"""Calls that run side by side, one for each component."""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class CallPool(Generic[Answer]):
    """Calls under way: `begin` starts one, and `take_ended` returns the answers."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._calls: dict[Future[Answer], str] = {}

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def components(self) -> Collection[str]:
        """A view of the components whose calls have not been taken out."""
        return self._calls.values()

    def begin(self, component: str, call: Callable[[], Answer]) -> None:
        """Begin a call for a component."""
        self._calls[self._executor.submit(call)] = component

    def take_ended(self, *, seconds: float) -> Iterator[tuple[str, Answer]]:
        """Take out the calls that have ended; wait for the first of them, some seconds at most.

        They come in the order in which they began, so that a pass can be repeated in tests.
        """
        if not self._calls:
            return
        done, _ = wait(self._calls, timeout=seconds, return_when=FIRST_COMPLETED)
        for call in [call for call in self._calls if call in done]:
            component = self._calls.pop(call)
            yield component, call.result()

    def join(self) -> None:
        """Wait until every call has ended, and ignore the answers."""
        wait(self._calls)
