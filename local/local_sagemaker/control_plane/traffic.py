"""Counts every API call, makes it fail on demand, and throttles it, before the operation sees it."""

import asyncio
from collections import Counter

from local_sagemaker.clock import Clock
from local_sagemaker.control_plane.call_faults import CallFault, is_write
from local_sagemaker.errors import ApiError
from local_sagemaker.settings import CurrentSettings


class Traffic:
    """Counts, faults and rate limits of the API, shared by all accounts and regions.

    load_faults has the reasons why artifacts fail to load, by the component's name or the artifact's URL.
    """

    def __init__(self, settings: CurrentSettings, clock: Clock):
        self.calls: Counter[str] = Counter()
        self.call_faults: list[CallFault] = []
        self.load_faults: dict[str, str] = {}
        self._held: dict[str, asyncio.Event] = {}
        self._settings = settings
        self._clock = clock
        self._buckets = {"read": _TokenBucket(clock), "write": _TokenBucket(clock)}

    def admit(self, operation: str) -> None:
        """Count a call; ApiError if a fault hits it or it is throttled."""
        self.calls[operation] += 1
        fault = self._fault(operation, lost=False)
        if fault is not None:
            raise ApiError(fault.code, fault.message, status=fault.status)
        if operation.startswith("Invoke"):
            return
        kind = "write" if is_write(operation) else "read"
        rate = self._settings.value.write_rate if kind == "write" else self._settings.value.read_rate
        if rate and not self._buckets[kind].take(rate):
            raise ApiError("ThrottlingException", "Rate exceeded")

    def loses_answer(self, operation: str) -> bool:
        """Whether a fault suppresses the answer to a call that has had its effect."""
        return self._fault(operation, lost=True) is not None

    def _fault(self, operation: str, *, lost: bool) -> CallFault | None:
        now = self._clock.now()
        faults = (fault for fault in self.call_faults if fault.lost == lost)
        return next((fault for fault in faults if fault.hits(operation, now)), None)

    def inject(self, fault: CallFault) -> None:
        """Let a fault hit calls from now on."""
        fault.begin(self._clock.now())
        self.call_faults.append(fault)

    def clear_faults(self) -> None:
        """Remove all faults and release all held components."""
        self.call_faults.clear()
        self.load_faults.clear()
        for component in list(self._held):
            self.release(component)

    def load_fault(self, component: str, url: str | None = None) -> str | None:
        """The reason why a component's artifact should fail to load, None if it should load."""
        reason = self.load_faults.get(component)
        return self.load_faults.get(url) if reason is None and url is not None else reason

    def hold(self, component: str) -> None:
        """Keep every change of a component in progress until the component is released."""
        self._held.setdefault(component, asyncio.Event())

    def release(self, component: str) -> None:
        """Let the changes of a component end; does nothing if it is not held."""
        event = self._held.pop(component, None)
        if event is not None:
            event.set()

    @property
    def held(self) -> list[str]:
        """The held components."""
        return list(self._held)

    async def released(self, component: str) -> None:
        """Wait while a component is held."""
        while component in self._held:
            await self._held[component].wait()


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
