"""What happens to every API call before it is looked at: counted, made to fail on demand, throttled."""

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


@dataclass(kw_only=True)
class CallFault:
    """The next `times` calls of an operation answer with an error instead.

    Raises ValueError for an operation there is not, or a value that does not fit.
    """

    operation: str
    code: str
    message: str
    status: int = 400
    times: int = 1

    def __post_init__(self) -> None:
        if self.operation not in _operations():
            raise ValueError(f"SageMaker has no operation {self.operation!r}")
        for name in ("code", "message"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"'{name}' should be a text, got {getattr(self, name)!r}")
        if type(self.status) is not int or not 400 <= self.status <= 599:
            raise ValueError(f"'status' should be a number from 400 to 599, got {self.status!r}")
        if type(self.times) is not int or self.times < 1:
            raise ValueError(f"'times' should be a whole number of at least 1, got {self.times!r}")


class Traffic:
    """Counts, faults and rate limits of the API; one for all accounts and regions."""

    def __init__(self, settings: CurrentSettings, clock: Clock):
        self.calls: Counter[str] = Counter()
        self.call_faults: list[CallFault] = []
        self.load_faults: dict[str, str] = {}
        self._settings = settings
        self._buckets = {"read": _Bucket(clock), "write": _Bucket(clock)}

    def admit(self, operation: str) -> None:
        """Count a call and let it pass, or raise the ServiceError it is answered with."""
        self.calls[operation] += 1
        for fault in self.call_faults:
            if fault.operation == operation and fault.times > 0:
                fault.times -= 1
                raise ServiceError(fault.code, fault.message, status=fault.status)
        if operation.startswith("Invoke"):
            return
        kind = "write" if is_write(operation) else "read"
        rate = self._settings.value.write_rate if kind == "write" else self._settings.value.read_rate
        if rate and not self._buckets[kind].take(rate):
            raise ServiceError("ThrottlingException", "Rate exceeded")

    def load_fault(self, component: str) -> str | None:
        """The reason why a component's artifact is to fail to load, if it is."""
        return self.load_faults.get(component)


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
