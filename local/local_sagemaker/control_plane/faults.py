"""Faults that tests inject: calls that fail, artifacts that do not load, components that are held."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from local_sagemaker.control_plane.request_validation import service_model

_READS = ("Describe", "List")

# A fault of all writes or all reads names one of these instead of an operation.
WRITES, READS = "writes", "reads"


def is_write(operation: str) -> bool:
    """Whether an operation of the control plane or the runtime changes something."""
    return not operation.startswith((*_READS, "Invoke"))


@cache
def _operations() -> frozenset[str]:
    services = ("sagemaker", "sagemaker-runtime")
    return frozenset(name for service in services for name in service_model(service).operation_names)


@dataclass(kw_only=True)
class CallFault:
    """Makes calls of an operation, of all `writes` or of all `reads` fail or lose their answer.

    times is the largest number of calls, None for no limit. share is the fraction of the calls, chosen in a
    random order that is the same every time. A lost call has its effect, and the connection closes without
    an answer; it has no code, message and status. ValueError for an unknown operation or a wrong value.
    """

    operation: str
    code: str = ""
    message: str = ""
    status: int = 400
    times: int | None = 1
    share: float = 1.0
    lost: bool = False

    def __post_init__(self) -> None:
        if self.operation not in (WRITES, READS) and self.operation not in _operations():
            raise ValueError(f"SageMaker has no operation {self.operation!r}")
        for name, (expected, holds) in _FIELDS.items():
            value = getattr(self, name)
            if not holds(value):
                raise ValueError(f"'{name}' should be {expected}, got {value!r}")
        if self.lost == bool(self.code):
            raise ValueError(f"'code' should be given unless the answer is lost, got {self.code!r}")
        if self.lost and self.operation.startswith("Invoke"):
            raise ValueError("answers of invocations cannot be lost")
        self._dice = random.Random(0)

    def hits(self, operation: str) -> bool:
        """Whether a call is hit; if so, it counts towards `times`."""
        if not self._covers(operation) or self.times == 0 or self._dice.random() >= self.share:
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def _covers(self, operation: str) -> bool:
        if self.operation in (WRITES, READS):
            return not operation.startswith("Invoke") and is_write(operation) == (self.operation == WRITES)
        return self.operation == operation


class Faults:
    """The faults in force, shared by all accounts; `loads` has why artifacts do not load, by component."""

    def __init__(self) -> None:
        self.calls: list[CallFault] = []
        self.loads: dict[str, str] = {}
        self._held: dict[str, asyncio.Event] = {}

    def of_call(self, operation: str) -> CallFault | None:
        """The fault that makes a call fail before it has an effect, None if there is none."""
        return self._fault(operation, lost=False)

    def loses_answer(self, operation: str) -> bool:
        """Whether a fault suppresses the answer to a call that has had its effect."""
        return self._fault(operation, lost=True) is not None

    def _fault(self, operation: str, *, lost: bool) -> CallFault | None:
        return next((fault for fault in self.calls if fault.lost == lost and fault.hits(operation)), None)

    def clear(self) -> None:
        """Remove all faults and release all held components."""
        self.calls.clear()
        self.loads.clear()
        for component in list(self._held):
            self.release(component)

    def hold(self, component: str) -> None:
        """Keep every change of a component in progress until the component is released."""
        self._held.setdefault(component, asyncio.Event())

    def release(self, component: str) -> None:
        """Let the changes of a component end; does nothing if it is not held."""
        event = self._held.pop(component, None)
        if event is not None:
            event.set()

    async def released(self, component: str) -> None:
        """Wait while a component is held."""
        while component in self._held:
            await self._held[component].wait()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


# What each field should be, and whether a value is that.
_FIELDS: dict[str, tuple[str, Callable[..., bool]]] = {
    "code": ("a string", _is_text),
    "message": ("a string", _is_text),
    "lost": ("true or false", lambda value: type(value) is bool),
    "status": ("a number from 400 to 599", lambda value: type(value) is int and 400 <= value <= 599),
    "times": (
        "a whole number of at least 1",
        lambda value: value is None or (type(value) is int and value >= 1),
    ),
    "share": ("a number above 0 and at most 1", lambda value: type(value) in (int, float) and 0 < value <= 1),
}
