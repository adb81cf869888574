"""What happens to every API call before it is looked at: counted, made to fail on demand, throttled."""

from collections import Counter
from dataclasses import dataclass

from local_sagemaker.clock import Clock
from local_sagemaker.errors import ServiceError
from local_sagemaker.settings import CurrentSettings

_READS = ("Describe", "List")


def is_write(operation: str) -> bool:
    """Whether an operation of the control plane or the runtime changes something."""
    return not operation.startswith((*_READS, "Invoke"))


@dataclass(kw_only=True)
class CallFault:
    """The next `times` calls of an operation answer with an error instead."""

    operation: str
    code: str
    message: str
    status: int = 400
    times: int = 1


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
