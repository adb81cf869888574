"""What a drift check looks at, though no decision asks for it."""

from dataclasses import replace

from adapter_fleet.fleet.planning.decide import Decision, Lane, Step
from adapter_fleet.fleet.planning.surveys import (
    adapters_to_probe,
    archives_to_check,
    drifted_records,
    tags_to_read,
)
from adapter_fleet.fleet.reconcile.board import Board
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.reconcile.step_taking import StepTaking
from adapter_fleet.fleet.state.records import AdapterRecord


class DriftCheck:
    """Looks at archives, tags and probes of some adapters; the next checks look at the others.

    reports:
        True if the pass only reports drift.
    """

    def __init__(self, session: Session, board: Board, steps: StepTaking, *, reports: bool) -> None:
        self._session, self._board, self._steps, self._reports = session, board, steps, reports
        # The records of the adapters that are probed, as they were before.
        self._probed: list[AdapterRecord] = []

    def check_archives(self) -> None:
        """Look at the archives of some adapters in service: a new copy of the base model would load them."""
        board, fleet, now = self._board, self._session.fleet, self._session.clock.now()
        after, seconds = fleet.archives_read, now - fleet.archives_at
        chosen = archives_to_check(board.records, board.queue.decisions, after=after, seconds=seconds)
        for component in chosen:
            board.queue.put(component, Decision(step=Step.CHECK_ARCHIVE))
        self._steps.take(writes=False)
        if chosen and not board.queue.reads:
            self._session.update_fleet(archives_read=chosen[-1], archives_at=now)

    def queue_tags(self) -> None:
        """Read the tags of some known components again."""
        chosen = tags_to_read(self._board.queue.decisions, after=self._session.fleet.tags_read)
        for component in chosen:
            self._board.read_tags(component)
        if chosen:
            self._session.update_fleet(tags_read=chosen[-1])

    def queue_probes(self) -> None:
        """Begin a new series of probes for as many adapters as the settings say."""
        board = self._board
        found = adapters_to_probe(
            board.records,
            board.desired.wanted,
            board.queue.decisions,
            copies=self._session.fleet.base_copies,
            reports=self._reports,
        )
        most = self._session.target.settings.probes_per_drift_run
        if most is not None:
            most = max(0, most - len(board.queue.lanes[Lane.PROBE]))  # some may be left from an earlier run
        self._probed = found[:most]
        for record in self._probed:
            check = record.probed
            assert check is not None  # a record without one is asked anyway
            # It is in the record, not in the queue alone: a pass that lists again decides again.
            failure = None if record.may_be_asked_again else record.failure
            board.redo(replace(record, probed=check.begin_again(), failure=failure, recheck=None))

    def report(self, *, asks: bool) -> None:
        """Take the steps that write nothing, and note what is not as the manifest says.

        asks:
            True if adapters are asked for their probes.
        """
        board = self._board
        self._steps.take(writes=False, asks=asks)
        self._forget_unasked_probes()
        for record in drifted_records(board.queue.decisions, board.records):
            board.records.put(record)

    def _forget_unasked_probes(self) -> None:
        """Leave those alone that this check had no time for: the next check asks them first."""
        board = self._board
        for before in self._probed:
            decision = board.queue.decisions.get(before.component)
            record = board.records.get(before.component)
            if decision is None or record is None:
                continue
            if decision.step is Step.PROBE:
                board.redo(
                    replace(record, probed=before.probed, failure=before.failure, recheck=before.recheck)
                )
            elif before.recheck is not None and not _has_ended_since(before, record):
                # The next run that repairs sends it again: the base has lost it.
                board.records.put(replace(record, recheck=before.recheck))


def _has_ended_since(before: AdapterRecord, record: AdapterRecord) -> bool:
    """Return True if an adapter has answered its probe since a record of it."""
    check, earlier = record.probed, before.probed
    return check is not None and (earlier is None or check.ended != earlier.ended)
