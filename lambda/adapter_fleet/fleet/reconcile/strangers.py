"""Components that neither the registry nor the manifest knows: their tags show whose they are."""

from adapter_fleet.fleet.reconcile.board import Board
from adapter_fleet.fleet.reconcile.step_taking import StepTaking
from adapter_fleet.fleet.state.configuration import TAGS_BEFORE_THE_END
from adapter_fleet.fleet.state.records import AdapterRecord


class Strangers:
    """Reads the tags of strangers, and those of orphans once."""

    def __init__(self, board: Board, steps: StepTaking) -> None:
        self._board, self._steps = board, steps
        self._orphans_read = False

    @property
    def unread(self) -> dict[str, AdapterRecord]:
        """The strangers whose tags are to be read."""
        return self._board.observation.unread_strangers

    def read(self) -> None:
        """Read the tags of strangers, and in the first call those of orphans; a tagged stranger is an orphan.

        A stranger whose tags are not read in time stays one.
        """
        board, strangers = self._board, self.unread
        orphans = set() if self._orphans_read else set(board.progress.orphans[:TAGS_BEFORE_THE_END])
        self._orphans_read = True
        for component in sorted(strangers.keys() | orphans):
            if component in strangers:
                board.records.add_unsaved(strangers[component])
            board.read_tags(component)
        self._steps.take(writes=False)
        for component in orphans - strangers.keys():
            board.decide(component)
        unread = {name for name in board.queue.reads if name in strangers}
        for component in unread:
            board.forget(component)
        board.observation.keep_strangers(unread)
        board.queue.reads.clear()
