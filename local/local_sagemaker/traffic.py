"""What happens to every API call before it is looked at: counted, made to fail on demand, throttled."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from functools import cache

from local_sagemaker.clock import Clock
from local_sagemaker.errors import ServiceError
from local_sagemaker.settings import CurrentSettings
from local_sagemaker.shapes import service_model

_READS = ("Describe", "List")


def is_write(operation: str) -> bool:
    """Whether an operation of the control plane or the runtime changes something."""
    return not operation.startswith((*_READS, "Invoke"))


@cache
def _operations() -> frozenset[str]:
    services = ("sagemaker", "sagemaker-runtime")
    return frozenset(name for service in services for name in service_model(service).operation_names)


# What a fault can name in the place of one operation.
WRITES, READS = "writes", "reads"


@dataclass(kw_only=True)
class CallFault:
    """Calls of an operation, of all `writes` or of all `reads` that answer with an error, or not at all.

    times is how many calls it hits at most, None as many as come; share which part of the calls, in a random
    order that is the same every time; seconds for how long, None until faults are cleared. A call that is
    lost is done, and then the connection closes with no answer; it has no code, message and status.
    Raises ValueError for an operation there is not, or a value that does not fit.
    """

    operation: str
    code: str = ""
    message: str = ""
    status: int = 400
    times: int | None = 1
    share: float = 1.0
    seconds: float | None = None
    lost: bool = False

    def __post_init__(self) -> None:
        if self.operation not in (WRITES, READS) and self.operation not in _operations():
            raise ValueError(f"SageMaker has no operation {self.operation!r}")
        for name in ("code", "message"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"'{name}' should be a text, got {getattr(self, name)!r}")
        if type(self.lost) is not bool:
            raise ValueError(f"'lost' should be true or false, got {self.lost!r}")
        if self.lost == bool(self.code):
            raise ValueError(f"'code' should be given unless the answer is lost, got {self.code!r}")
        if self.lost and self.operation.startswith("Invoke"):
            raise ValueError("answers of invocations cannot be lost")
        if type(self.status) is not int or not 400 <= self.status <= 599:
            raise ValueError(f"'status' should be a number from 400 to 599, got {self.status!r}")
        if self.times is not None and (type(self.times) is not int or self.times < 1):
            raise ValueError(f"'times' should be a whole number of at least 1, got {self.times!r}")
        if not _is_number(self.share) or not 0 < self.share <= 1:
            raise ValueError(f"'share' should be a number above 0 and at most 1, got {self.share!r}")
        if self.seconds is not None and (not _is_number(self.seconds) or self.seconds <= 0):
            raise ValueError(f"'seconds' should be a number above 0, got {self.seconds!r}")
        self._dice = random.Random(0)
        self._end: float | None = None

    def begin(self, now: float) -> None:
        """Let its time run from now on."""
        self._end = None if self.seconds is None else now + self.seconds

    def hits(self, operation: str, now: float) -> bool:
        """Whether it happens to a call now; if so, that is one of its times."""
        if not self._is_about(operation) or self.times == 0 or (self._end is not None and now >= self._end):
            return False
        if self._dice.random() >= self.share:
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def _is_about(self, operation: str) -> bool:
        if self.operation in (WRITES, READS):
            return not operation.startswith("Invoke") and is_write(operation) == (self.operation == WRITES)
        return self.operation == operation


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Traffic:
    """Counts, faults and rate limits of the API; one for all accounts and regions.

    load_faults are the reasons why artifacts fail to load, by the name of the component or the URL of the
    artifact.
    """

    def __init__(self, settings: CurrentSettings, clock: Clock):
        self.calls: Counter[str] = Counter()
        self.call_faults: list[CallFault] = []
        self.load_faults: dict[str, str] = {}
        self._held: dict[str, asyncio.Event] = {}
        self._settings = settings
        self._clock = clock
        self._buckets = {"read": _Bucket(clock), "write": _Bucket(clock)}

    def admit(self, operation: str) -> None:
        """Count a call and let it pass, or raise the ServiceError it is answered with."""
        self.calls[operation] += 1
        fault = self._fault(operation, lost=False)
        if fault is not None:
            raise ServiceError(fault.code, fault.message, status=fault.status)
        if operation.startswith("Invoke"):
            return
        kind = "write" if is_write(operation) else "read"
        rate = self._settings.value.write_rate if kind == "write" else self._settings.value.read_rate
        if rate and not self._buckets[kind].take(rate):
            raise ServiceError("ThrottlingException", "Rate exceeded")

    def loses_answer(self, operation: str) -> bool:
        """Whether the answer to a call that has been done does not arrive."""
        return self._fault(operation, lost=True) is not None

    def _fault(self, operation: str, *, lost: bool) -> CallFault | None:
        now = self._clock.now()
        faults = (fault for fault in self.call_faults if fault.lost == lost)
        return next((fault for fault in faults if fault.hits(operation, now)), None)

    def inject(self, fault: CallFault) -> None:
        """Let a fault happen from now on."""
        fault.begin(self._clock.now())
        self.call_faults.append(fault)

    def clear_faults(self) -> None:
        """No faults any more; what is held goes on."""
        self.call_faults.clear()
        self.load_faults.clear()
        for component in list(self._held):
            self.release(component)

    def load_fault(self, component: str, url: str | None = None) -> str | None:
        """The reason why a component's artifact is to fail to load, if it is."""
        reason = self.load_faults.get(component)
        return self.load_faults.get(url) if reason is None and url is not None else reason

    def hold(self, component: str) -> None:
        """Let the component stay in the midst of whatever is done to it, until it is released."""
        self._held.setdefault(component, asyncio.Event())

    def release(self, component: str) -> None:
        """Let a held component go on; nothing if it is not held."""
        event = self._held.pop(component, None)
        if event is not None:
            event.set()

    @property
    def held(self) -> list[str]:
        """The components that are held."""
        return list(self._held)

    async def released(self, component: str) -> None:
        """Wait while a component is held."""
        while component in self._held:
            await self._held[component].wait()


class _Bucket:
    """A token bucket that holds one second's worth, at least one call."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._tokens = float("inf")
        self._filled = clock.now()

    def take(self, rate: float) -> bool:
        now = self._clock.now()
        self._tokens = min(max(rate, 1.0), self._tokens + (now - self._filled) * rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
