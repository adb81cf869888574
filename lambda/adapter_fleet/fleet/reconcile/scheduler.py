"""Takes the steps that are due, several at a time, within the rates and the time of the pass."""

import math
from collections import deque
from collections.abc import Callable

from adapter_fleet.fleet.planning.decide import Step
from adapter_fleet.fleet.reconcile.call_pool import CallPool
from adapter_fleet.fleet.reconcile.observation import Observation
from adapter_fleet.fleet.reconcile.planner import Planner
from adapter_fleet.fleet.reconcile.polling import Polling
from adapter_fleet.fleet.reconcile.progress import Progress
from adapter_fleet.fleet.reconcile.rate_limiter import CallLimits
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.reconcile.telemetry import Telemetry
from adapter_fleet.fleet.reconcile.work_queue import (
    MAX_ARCHIVES_AT_A_TIME,
    MAX_REQUESTS_AT_A_TIME,
    WorkQueue,
)
from adapter_fleet.fleet.state.records import Write
from adapter_fleet.fleet.state.sagemaker_port import (
    ConflictError,
    LimitReachedError,
    MissingError,
    RefusedError,
    ThrottledError,
    UnansweredError,
)
from adapter_fleet.fleet.steps.task import StepResult

_INLINE_WAIT_SECONDS = 10.0
"""A pass waits this long itself, as starting another one reads every record again."""
_LAST_LISTING_SHARE = 0.25
"""A run needs a last listing anyway. It comes at once where describes would take this share of its calls."""
_SLICE_SECONDS = 3.0
_FLUSH_SECONDS = 1.0


class Scheduler:
    """Begins the queued steps when they may begin, and takes in their results.

    new_step:
        Returns the call that takes a component's next step.
    workers:
        How many calls run at the same time.
    """

    def __init__(
        self,
        session: Session,
        telemetry: Telemetry,
        new_step: Callable[[str], Callable[[], StepResult]],
        pool: CallPool[StepResult],
        workers: int,
        records: RecordCache,
        observation: Observation,
        queue: WorkQueue,
        polling: Polling,
        limits: CallLimits,
        progress: Progress,
        planner: Planner,
    ) -> None:
        self._session, self._telemetry, self._new_step = session, telemetry, new_step
        self._pool, self._workers = pool, workers
        self._records, self._observation = records, observation
        self._queue, self._polling, self._limits = queue, polling, limits
        self._progress, self._planner = progress, planner
        self._asks = False

    def run(self, *, writes: bool, asks: bool = False) -> None:
        """Take steps until nothing is due soon: all of them, or without `writes` only reads.

        asks:
            True if requests are sent without `writes`, too.
        """
        self._asks = asks
        while True:
            self._collect(seconds=0.0)
            if self._session.is_late():
                break
            writing = writes and not self._progress.over_limit
            if self._start(writes=writing):
                continue
            now = self._session.clock.now()
            due = self._next_due(now, writes=writing)
            self._session.renew()
            if self._pool:
                # Not longer than until the next call may begin, however long the calls under way take.
                self._collect(seconds=min(due - now, 1.0) if due is not None and due > now else 1.0)
            elif due is None:
                break
            elif due <= now:
                self._look_again(now)
            elif due - now <= _INLINE_WAIT_SECONDS or self._has_steps(writes=writes):
                if due - now >= _FLUSH_SECONDS:
                    self._records.flush()
                self._session.clock.sleep(min(due - now, _SLICE_SECONDS))
            else:
                break
        self.join()

    def join(self) -> None:
        """Wait for every call under way, and take in its result: none goes on after the pass."""
        while self._pool:
            self._session.renew()
            self._collect(seconds=1.0)

    # --- what may begin

    def _start(self, *, writes: bool) -> bool:
        """Begin one call that may begin now; return True if there was one."""
        if len(self._pool) >= self._workers:
            return False
        now = self._session.clock.now()
        reads = self._due_reads(now, writes=writes)
        if reads:
            self._limits.reads.begin(now)
            self._submit(reads)
        elif writes and self._may_look_at_archive():
            self._submit(self._queue.archives)
        elif writes and self._may_write(now):
            self._session.renew()
            self._limits.writes.begin(now)
            self._submit(self._queue.writes)
        elif writes and min(self._polling.next_times(), default=math.inf) <= now:
            self._look_again(now)
        else:
            return False
        return True

    def _due_reads(self, now: float, *, writes: bool) -> deque[str] | None:
        """Return the queue of reads or requests whose first step may begin now; None if none may."""
        if self._limits.next_read(now) > now:
            return None
        queues = (self._queue.reads, *self._requests(writes=writes))
        due = next(filter(None, queues), None)
        if due is None or due is self._queue.reads or self._may_ask(due):
            return due
        return None

    def _may_ask(self, queue: deque[str]) -> bool:
        """Return True if a request to an adapter may begin now.

        A probe is alone. SageMaker sends a request to the copy with the fewest under way: requests beside the
        probe would keep it away from their copies.
        """
        steps = [self._queue.decisions[component].step for component in self._pool.components]
        asking = [step for step in steps if step.asks]
        if queue is self._queue.probes:
            return not asking
        return len(asking) < MAX_REQUESTS_AT_A_TIME and Step.PROBE not in asking

    def _requests(self, *, writes: bool) -> list[deque[str]]:
        """Return the queues of requests to adapters whose steps may be taken."""
        queue = self._queue
        return [queue.requests, queue.probes] if writes or self._asks else []

    def _may_look_at_archive(self) -> bool:
        """Return True if an archive may be copied, read or compared now."""
        decisions = self._queue.decisions
        under_way = sum(decisions[component].step.reads_archive for component in self._pool.components)
        return bool(self._queue.archives) and under_way < MAX_ARCHIVES_AT_A_TIME

    def _may_write(self, now: float) -> bool:
        decisions = self._queue.decisions
        writing = any(decisions[component].step.writes for component in self._pool.components)
        alone = not (self._session.fleet.serial and (self._polling.in_flight or writing))
        return bool(self._queue.writes) and alone and self._limits.next_write(now) <= now

    def _next_due(self, now: float, *, writes: bool) -> float | None:
        """Return when the next step is due; None if nothing is queued or under way."""
        times = []
        if self._queue.reads or any(self._requests(writes=writes)):
            times.append(self._limits.next_read(now))
        if writes and self._may_look_at_archive():
            times.append(now)
        if writes and self._queue.writes and not self._progress.waits_for_write:
            times.append(self._limits.next_write(now))
        if writes:
            times += self._polling.next_times()
        return min(times, default=None)

    def _has_steps(self, *, writes: bool) -> bool:
        """Return True if steps wait only for the rates."""
        queue = self._queue
        write = queue.writes and not self._progress.waits_for_write
        return bool(queue.reads or any(self._requests(writes=writes)) or (writes and write))

    def _submit(self, queue: deque[str]) -> None:
        component = queue.popleft()
        self._pool.begin(component, self._new_step(component))

    # --- results

    def _collect(self, *, seconds: float) -> None:
        """Take in the results of calls that have ended; wait for the first, some seconds at most."""
        if not self._pool:
            return
        for component, result in self._pool.take_ended(seconds=seconds):
            self._take_in(component, result)
        self._records.flush_if_full()
        self._progress.save()

    def _take_in(self, component: str, result: StepResult) -> None:
        """Keep the result of a step, and decide what comes next."""
        step = self._queue.decisions[component].step
        self._planner.note_archive(component, result)
        for _ in range(result.requests - 1):
            self._limits.reads.begin(self._session.clock.now())
        if result.unexpected is not None:
            self._telemetry.unexpected(component, result.unexpected)
        self._records.put(result.record)
        if step.writes and not result.idle:
            self._observation.note_write()
            self._records.note_written(component)
        for event in result.events:
            self._records.log(event)
        if self._ends_here(component, step, result):
            return
        if result.foreign is not None:
            self._observation.foreign[component] = result.foreign
        first = not self._polling.is_planned
        self._planner.advance(component)
        if step is Step.READ_TAGS and isinstance(result.error, ThrottledError | UnansweredError):
            self._planner.read_tags(component)  # a drift check wants the tags though no decision does
        if result.accepted:
            self._limits.write_accepted()
            # Poll early: the first of many writes shows whether any succeeds.
            if first or self._session.fleet.serial or not self._queue.writes:
                self._polling.plan_after_write(last=not self._queue.writes)

    def _ends_here(self, component: str, step: Step, result: StepResult) -> bool:
        """Adapt the rates to the result of a call; return True if nothing more can be done in this pass."""
        limits = self._limits
        limiter = limits.reads if step.reads or step.asks or step.reads_archive else limits.writes
        match result.error:
            case None:
                limiter.succeeded()
            case ThrottledError():
                limits.back_off(result.error, limiter)
            case UnansweredError():
                limits.pause_after_lost_answer()
                if step.reads:
                    limits.back_off(result.error, limits.reads)
            case ConflictError():
                self._note_conflict(component)
            case LimitReachedError():
                self._planner.stop_creating(str(result.error))
            case RefusedError() if step.reads:
                self._planner.skip_unreadable(component, str(result.error))
                return True
            case RefusedError() | MissingError() if result.blocks:
                self._queue.block(component, str(result.error))
                return True
        return False

    def _note_conflict(self, component: str) -> None:
        """Slow down after a write that was refused for now."""
        live = self._records[component].live
        # If the component itself is not in transition, another one is: the service takes one write at a time.
        if live is None or not live.status.in_transition:
            self._session.update_fleet(serial=True)
        self._limits.pause_after_conflict()

    # --- writes under way

    def _look_again(self, now: float) -> None:
        """Look at components whose writes should have ended by now."""
        for component in self._polling.take_due(now):
            self._planner.look(component)
        if self._polling.is_poll_due(now):
            self._poll()

    def _poll(self) -> None:
        """Look at the components whose writes are under way, with as few calls as possible.

        Components that are being created are described, or listed with all that came after them. Others are
        described, or the whole endpoint is listed. With nothing left to write, that listing is the last one.
        """
        queue, observation = self._queue, self._observation
        polled, now = self._polling.begin_poll(), self._session.clock.now()
        only_stuck = not self._polling.in_flight
        writing = bool(queue.writes) and not self._session.fleet.serial
        deleting = writing and self._planner.deletes
        last = not (observation.complete or queue.has_steps or queue.held)
        created = [component for component in polled if self._is_created(component)]
        recent_pages = observation.recent_pages(created) if created else 0
        calls = len(polled) - len(created) + min(len(created), recent_pages)
        listed: list[str] = []
        if calls > observation.pages * (_LAST_LISTING_SHARE if last else 1):
            listed, calls = polled, observation.pages
            if not observation.list():
                return
            self._planner.advance_all()
        elif len(created) > recent_pages:
            listed = created
            if not observation.list_recent(created):
                return
            for component in created:
                self._planner.advance(component)
        if not deleting:
            for component in sorted(set(polled).difference(listed)):
                self._polling.discard(component)
                self._planner.look(component)
        self._polling.end_poll(
            now,
            seconds=max(calls / self._limits.reads.rate, self._session.clock.now() - now),
            listed=listed,
            only_stuck=only_stuck,
            writing=writing,
            deleting=deleting,
        )

    def _is_created(self, component: str) -> bool:
        """Return True if a component is being created."""
        intent = self._records[component].intent
        return intent is not None and intent.write is Write.CREATE
