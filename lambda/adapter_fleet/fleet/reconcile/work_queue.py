"""The next step of each component, the steps that wait for their turn, and those under way."""

from collections import deque
from concurrent.futures import Executor
from dataclasses import replace
from typing import NamedTuple

from adapter_fleet.common.call_pool import CallPool
from adapter_fleet.fleet.planning.decide import Decision, Lane, Step
from adapter_fleet.fleet.reconcile.rate_limiter import CallLimits, RateLimiter
from adapter_fleet.fleet.state.configuration import MAX_ARCHIVES_AT_A_TIME, MAX_REQUESTS_AT_A_TIME
from adapter_fleet.fleet.steps.task import StepOutcome


class QueuedStep(NamedTuple):
    """The first step of a queue: the earliest time for it, and the rate that it counts against, if any."""

    queue: deque[str]
    at: float
    rate: RateLimiter | None


class WorkQueue:
    """The decision for each component, and queues of components by the kind of their next step.

    workers:
        How many calls run at the same time.
    under_way:
        The steps that are being taken.
    lanes:
        Components by the lane of their next step. Those of the lane `LAST` are held.
    held:
        Components to delete once everything else is done.
    limit:
        The account's limit because of which this pass creates nothing more; None if it is not reached.
    waiting:
        Components to create, or to replace, once there is room for them.
    blocked:
        Components for which nothing can be done in this pass: why.
    unreadable:
        Components that may not be read. The pass leaves them alone.
    """

    def __init__(self, executor: Executor, workers: int, limits: CallLimits) -> None:
        self.under_way: CallPool[StepOutcome] = CallPool(executor)
        self._workers, self._limits = workers, limits
        self.decisions: dict[str, Decision] = {}
        self.lanes: dict[Lane, deque[str]] = {
            lane: deque() for lane in Lane if lane not in (Lane.NONE, Lane.LAST)
        }
        self.held: set[str] = set()
        self.limit: str | None = None
        self.waiting: set[str] = set()
        self.blocked: dict[str, str] = {}
        self.unreadable: set[str] = set()

    def put(self, component: str, decision: Decision, *, lacks_room: bool = False) -> None:
        """Keep the decision for a component, and queue it if there is something to do now."""
        self.decisions[component] = decision
        self.waiting.discard(component)
        self.held.discard(component)
        step = decision.step
        if lacks_room:
            self.waiting.add(component)
        elif step.lane is Lane.LAST:
            self.held.add(component)
        elif step is Step.CONFIRM:
            # A single call, so it goes before the readings, which may take long.
            self.lanes[step.lane].appendleft(component)
        elif step.lane is not Lane.NONE:
            self.lanes[step.lane].append(component)

    def withdraw(self, component: str) -> None:
        """Take the next step of a component out of its queue. The decision stays."""
        for queue in self.lanes.values():
            if component in queue:
                queue.remove(component)

    def block(self, component: str, reason: str) -> None:
        """Note that nothing can be done for a component in this pass."""
        self.blocked[component] = reason
        self.decisions[component] = replace(self.decisions[component], why=reason)

    def leave_alone(self, component: str, decision: Decision) -> None:
        """Leave a component that may not be read alone in this pass."""
        self.unreadable.add(component)
        self.held.discard(component)
        self.decisions[component] = decision

    def stop_creating(self, limit: str) -> list[str]:
        """Create nothing more, as a limit is reached; return the components to decide again."""
        self.limit = limit
        writes = list(self.writes)
        self.writes.clear()
        return writes

    def forget(self, component: str) -> None:
        """Forget the decision for a component."""
        self.decisions.pop(component, None)
        self.waiting.discard(component)
        self.held.discard(component)

    def clear(self) -> None:
        """Empty the queues; the decisions stay."""
        for queue in self.lanes.values():
            queue.clear()
        self.held.clear()
        self.waiting.clear()

    @property
    def has_steps(self) -> bool:
        """True if a step waits for its turn."""
        return any(self.lanes.values())

    @property
    def reads(self) -> deque[str]:
        """Components to read at SageMaker."""
        return self.lanes[Lane.READ]

    @property
    def writes(self) -> deque[str]:
        """Components to write on."""
        return self.lanes[Lane.WRITE]

    # --- what may begin

    @property
    def is_full(self) -> bool:
        """True if no other call may run beside those under way."""
        return len(self.under_way) >= self._workers

    @property
    def is_writing(self) -> bool:
        """True if a write is being sent."""
        return any(step.writes for step in self._steps_under_way)

    @property
    def _steps_under_way(self) -> list[Step]:
        return [self.decisions[component].step for component in self.under_way.components]

    def next_steps(self, now: float, *, asks: bool, writes: bool, waits: bool) -> list[QueuedStep]:
        """Return the steps that may begin beside those under way, by precedence.

        asks:
            True if requests are sent to adapters.
        writes:
            True if all steps are taken.
        waits:
            True if the next write waits for one under way.
        """
        limits = self._limits
        found = []
        asked = Lane.ASK if self.lanes[Lane.ASK] else Lane.PROBE
        if self.reads:
            found.append(QueuedStep(self.reads, limits.reads.next_at, limits.reads))
        elif asks and self.lanes[asked] and self._may_ask(asked):
            found.append(QueuedStep(self.lanes[asked], limits.reads.next_at, limits.reads))
        if writes and self._may_look_at_archive:
            found.append(QueuedStep(self.lanes[Lane.ARCHIVE], now, None))
        if writes and self.writes and not waits:
            found.append(QueuedStep(self.writes, limits.next_write_at, limits.writes))
        return found

    def _may_ask(self, lane: Lane) -> bool:
        """Return True if a request to an adapter may begin now.

        A probe is alone. SageMaker sends a request to the copy with the fewest under way: requests beside the
        probe would keep it away from their copies.
        """
        asking = [step for step in self._steps_under_way if step.asks]
        if lane is Lane.PROBE:
            return not asking
        return len(asking) < MAX_REQUESTS_AT_A_TIME and Step.PROBE not in asking

    @property
    def _may_look_at_archive(self) -> bool:
        """True if an archive may be copied, read or compared now."""
        under_way = sum(step.lane is Lane.ARCHIVE for step in self._steps_under_way)
        return bool(self.lanes[Lane.ARCHIVE]) and under_way < MAX_ARCHIVES_AT_A_TIME
