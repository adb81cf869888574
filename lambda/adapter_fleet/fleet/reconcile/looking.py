"""Looks at components whose writes are under way, with as few calls as possible."""

from adapter_fleet.fleet.reconcile.board import Board
from adapter_fleet.fleet.reconcile.rate_limiter import CallLimits
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.state.records import Write

_LAST_LISTING_SHARE = 0.25
"""A run needs a last listing anyway. It comes at once where describes would take this share of its calls."""


class Looking:
    """Describes components whose writes should have ended by now, or lists the endpoint."""

    def __init__(self, session: Session, board: Board, limits: CallLimits) -> None:
        self._session, self._board, self._limits = session, board, limits

    def look_again(self, now: float) -> None:
        """Look at components whose writes should have ended by now."""
        polling = self._board.polling
        for component in polling.take_due(now):
            self._board.look(component)
        polled = polling.begin_poll(now)
        if polled:
            self._poll(polled)

    def _poll(self, polled: list[str]) -> None:
        """Look at the components whose writes are under way, with as few calls as possible.

        Components that are being created are described, or listed with all that came after them. Others are
        described, or the whole endpoint is listed. With nothing left to write, that listing is the last one.
        """
        board, polling = self._board, self._board.polling
        queue, observation = board.queue, board.observation
        now = self._session.clock.now()
        only_stuck = not polling.in_flight
        writing = bool(queue.writes) and not self._session.fleet.serial
        deleting = writing and board.deletes
        last = not (observation.complete or queue.has_steps or queue.held)
        created = [component for component in polled if self._is_created(component)]
        recent_pages = observation.recent_pages(created) if created else 0
        calls = len(polled) - len(created) + min(len(created), recent_pages)
        listed: list[str] = []
        if calls > observation.pages * (_LAST_LISTING_SHARE if last else 1):
            listed, calls = polled, observation.pages
            if not observation.list():
                return
            board.decide_all()
        elif len(created) > recent_pages:
            listed = created
            if not observation.list_recent(created):
                return
            for component in created:
                board.decide(component)
        if not deleting:
            for component in sorted(set(polled).difference(listed)):
                polling.discard(component)
                board.look(component)
        polling.end_poll(
            now,
            seconds=max(calls / self._limits.reads.rate, self._session.clock.now() - now),
            listed=listed,
            only_stuck=only_stuck,
            writing=writing,
            deleting=deleting,
        )

    def _is_created(self, component: str) -> bool:
        """Return True if a component is being created."""
        intent = self._board.records[component].intent
        return intent is not None and intent.write is Write.CREATE
