"""Reads the tags of components that no decision asks about: of strangers, of orphans, and in drift checks."""

from bisect import bisect_right

from adapter_fleet.fleet.planning.decide import Step
from adapter_fleet.fleet.reconcile.observation import Observation
from adapter_fleet.fleet.reconcile.planner import Planner
from adapter_fleet.fleet.reconcile.progress import Progress
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.scheduler import Scheduler
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.reconcile.work_queue import WorkQueue
from adapter_fleet.fleet.state.records import AdapterRecord

TAGS_A_DRIFT_CHECK = 100
"""Components whose tags one drift check reads: five seconds at the read rate, and a call for each."""

TAGS_BEFORE_THE_END = 100
"""A generation ends only after so many strangers' tags are read; the others are read after its end."""


class TagSurvey:
    """Finds components that carry the fleet's tag and that the registry does not know: orphans."""

    def __init__(
        self,
        session: Session,
        records: RecordCache,
        observation: Observation,
        queue: WorkQueue,
        progress: Progress,
        planner: Planner,
        scheduler: Scheduler,
    ) -> None:
        self._session, self._records, self._observation = session, records, observation
        self._queue, self._progress = queue, progress
        self._planner, self._scheduler = planner, scheduler
        self._orphans_read = False

    @property
    def strangers(self) -> int:
        """How many strangers' tags are to be read."""
        return len(self._strangers())

    def _strangers(self) -> dict[str, AdapterRecord]:
        """Return the strangers whose tags are to be read.

        A deletion beside many strangers reads only those with the fleet's prefix. A registry that knows only
        the deletion was lost: then every stranger is worth a call.
        """
        strangers, generation = self._observation.strangers, self._session.generation
        lost = generation.number == 1 and not generation.request.rolling_back
        if not self._session.deleting or lost or len(strangers) <= TAGS_BEFORE_THE_END:
            return strangers
        start = f"{self._session.target.prefix}-"
        return {name: record for name, record in strangers.items() if name.startswith(start)}

    def queue_some(self) -> None:
        """Read the tags of some known components again; the next drift checks read those of the others.

        A listing does not show whether someone removed the fleet's tag, or put it back.
        """
        readable = (Step.KEEP, Step.FOREIGN, Step.ORPHAN)
        decisions = self._queue.decisions.items()
        names = sorted(name for name, decision in decisions if decision.step in readable)
        start = bisect_right(names, self._session.fleet.tags_read)
        chosen = [*names[start:], *names[:start]][:TAGS_A_DRIFT_CHECK]
        for component in chosen:
            self._planner.read_tags(component)
        if chosen:
            self._session.update_fleet(tags_read=chosen[-1])

    def read_strangers(self) -> None:
        """Read the tags of strangers, and in the first call those of orphans; a tagged stranger is an orphan.

        A stranger whose tags are not read in time stays one.
        """
        strangers = self._strangers()
        orphans = set() if self._orphans_read else set(self._progress.orphans[:TAGS_BEFORE_THE_END])
        self._orphans_read = True
        for component in sorted(strangers.keys() | orphans):
            if component in strangers:
                self._records.add_unsaved(strangers[component])
            self._planner.read_tags(component)
        self._scheduler.run(writes=False)
        for component in orphans - strangers.keys():
            self._planner.advance(component)
        unread = {name for name in self._queue.reads if name in strangers}
        for component in unread:
            self._planner.forget(component)
        self._observation.strangers = {name: strangers[name] for name in unread}
        self._queue.reads.clear()
