"""Counts every API call before the operation sees it, and throttles all but invocations."""

from collections import Counter

from local_sagemaker.clock import Clock
from local_sagemaker.control_plane.faults import Faults, is_write
from local_sagemaker.errors import ApiError
from local_sagemaker.settings import CurrentSettings


class Throttling:
    """Counts and rate limits of the API, shared by all accounts and regions."""

    def __init__(self, settings: CurrentSettings, clock: Clock, faults: Faults):
        self.calls: Counter[str] = Counter()
        self._faults = faults
        self._settings = settings
        self._buckets = {"read": _TokenBucket(clock), "write": _TokenBucket(clock)}

    def admit(self, operation: str) -> None:
        """Count a call; ApiError if a fault hits it or it is throttled."""
        self.calls[operation] += 1
        fault = self._faults.of_call(operation)
        if fault is not None:
            raise ApiError(fault.code, fault.message, status=fault.status)
        if operation.startswith("Invoke"):
            return
        kind = "write" if is_write(operation) else "read"
        rate = self._settings.value.write_rate if kind == "write" else self._settings.value.read_rate
        if rate and not self._buckets[kind].take(rate):
            raise ApiError("ThrottlingException", "Rate exceeded")


class _TokenBucket:
    """A token bucket with the calls of one second, at least one."""

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
