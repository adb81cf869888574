"""Carries out what people ordered beside the manifest."""

from dataclasses import replace

from adapter_fleet.fleet.planning.desired_state import without_failures
from adapter_fleet.fleet.reconcile.board import Board
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.state.records import Order


class OrderTaking:
    """Takes orders off the registry as the pass carries them out.

    reports:
        True if the pass only reports drift. It leaves retries to the execution that the person started.
    """

    def __init__(self, session: Session, board: Board, *, reports: bool) -> None:
        self._session, self._board = session, board
        self._retries = [] if reports else board.desired.retries
        self._attempts = [] if reports else board.desired.attempts

    def take(self) -> None:
        """Forget failures that people ordered to retry, and remove pins that they ordered to remove."""
        records, desired = self._board.records, self._board.desired
        named = desired.names_of([*self._retries, *desired.unpinned], records)
        for known in list(records.values()):
            if known.name in named:
                records.put(replace(known, ordered=True))
        for record in without_failures(records, self._attempts).values():
            records.put(record)
        records.flush()
        self._remove(desired.unpinned)

    def ask(self) -> None:
        """Ask the adapters again that people ordered to retry: a copy may have lost one, or another answers.

        Not before the copies are checked, which asks adapters that nobody else is about to ask. The first
        copy after none is asked for every adapter anyway.
        """
        records = self._board.records
        for order in self._attempts:
            record = records.get(order.component)
            if record is None:
                continue
            records.note(record, "retried")
            if record.live is None:
                records.put(replace(record, drifted=None))  # it is about to be mended
            elif self._session.fleet.base_copies:
                record = record.to_be_asked()
                # Each order may send it again once.
                probed = None if record.probed is None else replace(record.probed, resent=False)
                records.put(replace(record, probed=probed, drifted=None))
        records.flush()
        self._remove(self._retries)

    def prune(self) -> None:
        """Count the deletions of orphans that people ordered."""
        records = self._board.records
        done, uncounted = self._board.desired.prunes(records)
        self._remove(done)
        for component in uncounted:
            records.put(replace(records[component], counted=self._session.generation.number))
            self._board.decide(component)
        records.flush()

    def _remove(self, orders: list[Order]) -> None:
        if orders:
            self._board.desired = self._board.desired.without(orders)
            self._session.registry.orders.take(orders, self._session.lease)
