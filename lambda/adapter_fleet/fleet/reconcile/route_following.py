"""Routes callers to versions that came into service, and away from those that go."""

from dataclasses import replace

from adapter_fleet.fleet.planning.settle import with_failure
from adapter_fleet.fleet.reconcile.board import Board
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.state.failures import Cause


class RouteFollowing:
    """Writes routes, and lets the records follow them.

    plans_again:
        True if the next pass reads the routes again.
    """

    def __init__(self, session: Session, board: Board) -> None:
        self._session, self._board = session, board
        self.plans_again = False

    def open(self) -> None:
        """Write the routes, and count the deletions of versions that nobody is sent to any more."""
        board, records = self._board, self._board.records
        mended = board.routes.mend(records, board.desired.pins)
        board.routes.is_open = True
        board.routes.flush()
        if mended:
            records.flush()
            self.plans_again = True
            self._session.abandon()  # other components are wanted now
            return
        for record in board.routes.superseded(list(records.values())):
            records.put(replace(record, counted=self._session.generation.number))
            board.decide(record.component)
        self.note()
        records.flush()

    def end_canaries(self) -> None:
        """Note the failure of canaries that did worse. Then their share goes."""
        board, records = self._board, self._board.records
        for component, (artifact, why) in board.routes.canaries.worse.items():
            record = records.get(component)
            if record is None or record.serving is None or record.intent is not None:
                continue  # it is judged again after a step
            if not record.is_vouched or not artifact.same_version_as(record.serving):
                continue  # somebody changed it by hand, and answers of another artifact may count
            record, events = with_failure(record, record.serving, why, board.context, cause=Cause.CANARY)
            for event in events:
                records.log(event)
            board.redo(record)
        records.flush()  # before the routes, so that it begins no second time

    def note(self) -> None:
        """Note in the records which versions callers are sent to."""
        records = self._board.records
        for record, told in list(self._board.routes.news(records)):
            records.put(record)
            records.note(record, "routed", cause=told)
