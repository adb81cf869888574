"""Faults that tests inject: calls that fail or are slow, artifacts that do not load, held components."""

import asyncio
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache

from local_sagemaker.control_plane.request_validation import service_model

_READS = ("Describe", "List")
_DYNAMODB_READS = (*_READS, "Get", "BatchGet", "TransactGet", "Query", "Scan")

DYNAMODB = "dynamodb:"
"""The beginning of the operations of DynamoDB, as in the actions of IAM."""

# A fault of all writes or all reads names one of these instead of an operation.
WRITES, READS = "writes", "reads"


def is_write(operation: str) -> bool:
    """Whether an operation of the control plane, the runtime or DynamoDB changes something."""
    if operation.startswith(DYNAMODB):
        return not operation.removeprefix(DYNAMODB).startswith(_DYNAMODB_READS)
    return not operation.startswith((*_READS, "Invoke"))


@cache
def _operations() -> frozenset[str]:
    services = {"sagemaker": "", "sagemaker-runtime": "", "dynamodb": DYNAMODB}
    names = {service: [*service_model(service).operation_names, WRITES, READS] for service in services}
    return frozenset(prefix + name for service, prefix in services.items() for name in names[service])


@dataclass(kw_only=True)
class CallFault:
    """Makes calls of an operation, of all `writes` or of all `reads` fail, take longer or lose their answer.

    times is the largest number of calls, None for no limit. share is the fraction of the calls, chosen in a
    random order that is the same every time. A lost call has its effect, and the connection closes without
    an answer. seconds is how much longer a call takes. Both have no code, message and status. Operations of
    DynamoDB begin with `dynamodb:`, also its `dynamodb:writes`; table limits a fault to the calls of a table.
    ValueError for an unknown operation or a wrong value.
    """

    operation: str
    code: str = ""
    message: str = ""
    status: int = 400
    times: int | None = 1
    share: float = 1.0
    lost: bool = False
    seconds: float = 0.0
    table: str | None = None

    def __post_init__(self) -> None:
        self._service, _, self._kind = str(self.operation).rpartition(":")
        if self.operation not in _operations():
            raise ValueError(f"{self._service or 'SageMaker'} has no operation {self._kind!r}")
        for name, (expected, holds) in _FIELDS.items():
            value = getattr(self, name)
            if not holds(value):
                raise ValueError(f"'{name}' should be {expected}, got {value!r}")
        if [bool(self.code), self.lost, self.seconds > 0].count(True) != 1:
            raise ValueError(f"one of 'code', 'lost' and 'seconds' should be given, got code {self.code!r}")
        if self.table is not None and not self._service:
            raise ValueError(f"'table' should be given for DynamoDB alone, got {self.table!r}")
        if self.lost and self.operation.startswith("Invoke"):
            raise ValueError("answers of invocations cannot be lost")
        self._dice = random.Random(0)

    def hits(self, operation: str, tables: Collection[str] = ()) -> bool:
        """Whether a call is hit; if so, it counts towards `times`."""
        covers = self._covers(operation) and self.table in (None, *tables)
        if not covers or self.times == 0 or self._dice.random() >= self.share:
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def _covers(self, operation: str) -> bool:
        if self._kind in (WRITES, READS):
            is_wanted = is_write(operation) == (self._kind == WRITES) and not operation.startswith("Invoke")
            return is_wanted and operation.startswith(DYNAMODB) == bool(self._service)
        return self.operation == operation


class Faults:
    """The faults in force, shared by all accounts; `loads` has why artifacts do not load, by component."""

    def __init__(self) -> None:
        self.calls: list[CallFault] = []
        self.loads: dict[str, str] = {}
        self._held: dict[str, asyncio.Event] = {}

    def of_call(self, operation: str, tables: Collection[str] = ()) -> CallFault | None:
        """The fault that makes a call fail before it has an effect, None if there is none."""
        return next((fault for fault in self.calls if fault.code and fault.hits(operation, tables)), None)

    def loses_answer(self, operation: str, tables: Collection[str] = ()) -> bool:
        """Whether a fault suppresses the answer to a call that has had its effect."""
        return any(fault.lost and fault.hits(operation, tables) for fault in self.calls)

    async def delay(self, operation: str, tables: Collection[str] = ()) -> None:
        """Wait as long as a fault makes a call take longer."""
        for fault in list(self.calls):
            if fault.seconds and fault.hits(operation, tables):
                await asyncio.sleep(fault.seconds)

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
    "seconds": ("a number from 0 to 3600", lambda value: type(value) in (int, float) and 0 <= value <= 3600),
    "table": ("a string", lambda value: value is None or _is_text(value)),
    "status": ("a number from 400 to 599", lambda value: type(value) is int and 400 <= value <= 599),
    "times": (
        "a whole number of at least 1",
        lambda value: value is None or (type(value) is int and value >= 1),
    ),
    "share": ("a number above 0 and at most 1", lambda value: type(value) in (int, float) and 0 < value <= 1),
}
