"""When to look again at components whose writes are under way."""

import math
from collections.abc import Collection, Iterator, Mapping

from adapter_fleet.common.clock import Clock
from adapter_fleet.fleet.planning.decide import Step
from adapter_fleet.fleet.state.records import AdapterRecord, Event, Intent, Write

_FIRST_POLL_SECONDS = 1.0
_MIN_POLL_SECONDS = 0.1
_MAX_POLL_SECONDS = 15.0
_BUSY_POLL_SECONDS = 10.0
_BUSY_POLL_STRETCH = 20.0
_DELETING_POLL_STRETCH = 100.0
_DESCRIBING_POLL_STRETCH = 2.0
"""While more writes are about to begin, the wait after a poll is so many times the time of its calls."""
_STUCK_POLL_SECONDS = 60.0
_BACKOFF_FACTOR = 1.5
_AFTERWARDS_SECONDS = 0.05
_NEWEST_SHARE = 0.3
_EARLIER = 0.9
_MAX_LOOK_SECONDS = 60.0

_WRITE_OF = {"created": Write.CREATE, "updated": Write.UPDATE, "deleted": Write.DELETE}


class Polling:
    """The components whose writes are under way, and when to look at them.

    Updates are described one by one, each when it should have ended. All others are polled together.

    write_seconds:
        How long the last writes took, by kind. The registry keeps it from pass to pass.
    resumes:
        True if the state machine has waited before this pass: then it polls at once.
    """

    def __init__(self, clock: Clock, *, write_seconds: Mapping[str, float], resumes: bool) -> None:
        self._clock = clock
        self.write_seconds = dict(write_seconds)
        self._polled: dict[str, Intent | None] = {}
        self._stuck: set[str] = set()
        self._look_at: dict[str, float] = {}
        self._poll_at: float | None = None
        self._rests_until = 0.0
        self._poll_seconds = _FIRST_POLL_SECONDS
        self._resumes = resumes

    # --- which components

    @property
    def in_flight(self) -> set[str]:
        """The components whose writes should end by themselves."""
        return (self._polled.keys() - self._stuck) | self._look_at.keys()

    def clear(self) -> None:
        """Look at nothing."""
        self._polled.clear()
        self._stuck.clear()
        self._look_at.clear()

    def discard(self, component: str) -> None:
        """Do not look at a component."""
        self._polled.pop(component, None)
        self._stuck.discard(component)
        self._look_at.pop(component, None)

    def track(self, record: AdapterRecord, step: Step) -> None:
        """Look again at a component if its next step is to wait for a write."""
        component, now = record.component, self._clock.now()
        self.discard(component)
        if step is Step.WAIT and (end := self._end_of_update(record, now)) is not None:
            self._look_at[component] = end
        elif step in (Step.WAIT, Step.STUCK):
            self._polled[component] = record.intent
            if step is Step.STUCK:
                self._stuck.add(component)
            if self._poll_at is None:
                soon = now + self._poll_seconds
                due = soon if self._resumes else self._last_end(now) or soon
                self._poll_at = max(due, self._rests_until)
        if not self._polled:
            self._poll_at = None

    # --- when

    def next_times(self) -> list[float]:
        """Return when to look next: up to two times."""
        times = [min(self._look_at.values())] if self._look_at else []
        if self._polled and self._poll_at is not None:
            times.append(self._poll_at)
        return times

    @property
    def is_planned(self) -> bool:
        """True if a time for the next poll is set."""
        return self._poll_at is not None

    def take_due(self, now: float) -> Iterator[str]:
        """Take out the components that are to be described now."""
        for component in [name for name, at in self._look_at.items() if at <= now]:
            self._look_at.pop(component, None)
            yield component

    def begin_poll(self, now: float) -> list[str]:
        """Return the components to poll; none if no poll is due."""
        if not self._polled or self._poll_at is None or self._poll_at > now:
            return []
        self._resumes = False
        return sorted(self._polled)

    def end_poll(
        self,
        now: float,
        *,
        seconds: float,
        listed: Collection[str],
        only_stuck: bool,
        writing: bool,
        deleting: bool,
    ) -> None:
        """Plan the next poll.

        now:
            When this poll began.
        seconds:
            How long its calls take.
        listed:
            The polled components that a listing showed rather than a describe.
        only_stuck:
            True if this poll was for stuck components only.
        writing:
            True if more writes are about to begin.
        deleting:
            True if only deletions are left. No step waits for the end of one, so none is described.
        """
        if only_stuck:
            self._poll_seconds = _STUCK_POLL_SECONDS
        elif writing:
            # No write begins during a listing, so listings take a small share of the time.
            stretch = _DELETING_POLL_STRETCH if deleting else _BUSY_POLL_STRETCH
            stretch = stretch if listed else _DESCRIBING_POLL_STRETCH
            self._poll_seconds = max(_BUSY_POLL_SECONDS, seconds * stretch)
        elif not self._polled.keys() >= set(listed):
            self._poll_seconds = _FIRST_POLL_SECONDS
        else:
            self._poll_seconds = min(self._poll_seconds * _BACKOFF_FACTOR, _MAX_POLL_SECONDS)
        due = now + seconds + self._poll_seconds
        self._rests_until = due if writing else 0.0
        # Components that are described are tracked again once the answer is there.
        last_end = None if writing else self._last_end(now)
        self._poll_at = (last_end or due) if self._polled else None

    def plan_after_write(self, *, last: bool) -> None:
        """Plan to poll when the last write under way should have ended.

        last:
            True if no more writes are about to begin.
        """
        if last:
            self._rests_until = 0.0
        if self._polled:
            now = self._clock.now()
            self._poll_seconds = _FIRST_POLL_SECONDS
            self._poll_at = max(self._last_end(now) or now + _FIRST_POLL_SECONDS, self._rests_until)

    # --- how long writes take

    def learn(self, event: Event) -> None:
        """Learn from an event how long a write took."""
        write = _WRITE_OF.get(event.what)
        if write is None or event.seconds is None:
            return
        # A deletion counts as ended when it is polled, so the next poll comes a little earlier.
        took = event.seconds * _EARLIER if write is Write.DELETE else event.seconds
        known = self.write_seconds.get(write, took)
        self.write_seconds[write] = round(known + (took - known) * _NEWEST_SHARE, 3)

    def _last_end(self, now: float) -> float | None:
        """Return when the last write under way should end; None where that is past or unknown."""
        ends = [
            (intent.acknowledged or intent.at) + self._expected_seconds(intent.write)
            for component, intent in self._polled.items()
            if intent is not None and component not in self._stuck
        ]
        last = max(ends, default=0.0) + _AFTERWARDS_SECONDS
        if not self.write_seconds or last <= now:
            return None
        return min(max(last, now + _MIN_POLL_SECONDS), now + _MAX_POLL_SECONDS)

    def _expected_seconds(self, write: Write) -> float:
        """Return how long a write should take: as long as the last ones of its kind, or else of any kind."""
        known = self.write_seconds
        return known.get(write, min(known.values(), default=_FIRST_POLL_SECONDS))

    def _end_of_update(self, record: AdapterRecord, now: float) -> float | None:
        """Return when an update should end; None where it is polled like other writes.

        Each update has to be described at its end. It is polled if that time is past, unknown or far away.
        """
        intent = record.intent
        if (
            intent is None
            or intent.write is not Write.UPDATE
            or intent.acknowledged is None
            or self.write_seconds.get(Write.UPDATE, math.inf) > _MAX_LOOK_SECONDS
        ):
            return None
        end = intent.acknowledged + self.write_seconds[Write.UPDATE] + _AFTERWARDS_SECONDS
        return end if end > now else None
