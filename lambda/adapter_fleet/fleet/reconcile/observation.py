"""What a pass observes at the service: the components on the endpoint, and the base component."""

import math
from collections.abc import Callable, Collection
from functools import partial
from typing import TypeVar

from adapter_fleet.common.naming import adapter_component
from adapter_fleet.fleet.planning.observe import (
    SETTLING_SECONDS,
    base_trouble,
    known_foreign,
    merge_listing,
    with_known_spellings,
)
from adapter_fleet.fleet.reconcile.rate_limiter import CallLimits
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.session import PassHaltedError, Session
from adapter_fleet.fleet.state.components import ObservedBase, ObservedComponent
from adapter_fleet.fleet.state.configuration import LATE_TAGS_SECONDS, TAGS_BEFORE_THE_END
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.sagemaker_port import (
    MissingError,
    ServiceError,
    ThrottledError,
    UnansweredError,
)

PAGE = 100
"""Components that one call lists."""


_MAX_UNANSWERED = 8
_RETRY_SECONDS = 0.1

Answer = TypeVar("Answer")


class Observation:
    """The components on the endpoint, as the last listing showed them.

    complete:
        True if a listing has shown the endpoint since the last write.
    foreign:
        Components known not to be the fleet's: their creation times.
    strangers:
        Components that neither the registry nor the manifest knows, and whose tags nobody has read.
    """

    def __init__(self, session: Session, limits: CallLimits, records: RecordCache) -> None:
        self._session, self._limits, self._records = session, limits, records
        self.listed = session.resumes
        self.complete = False
        foreign = session.fleet.foreign
        if not session.resumes:
            # The tags of known components are read again, and before a deletion those of all.
            known, read_until = self._records.known, session.fleet.pass_ended
            foreign = {} if session.deleting else known_foreign(foreign, known, read_until=read_until)
        self.foreign = dict(foreign)
        self.strangers: dict[str, AdapterRecord] = {}
        self._base: ObservedComponent | None = None

    @property
    def pages(self) -> int:
        """Calls that a listing takes."""
        return math.ceil((len(self._records) + len(self.foreign) + len(self.strangers) + 1) / PAGE)

    def recent_pages(self, components: Collection[str]) -> int:
        """Calls that a listing of these new components takes. It shows all that came after them, too."""
        since = self._since(components)
        return math.ceil(sum(_created(record) > since for record in self._records.values()) / PAGE)

    def list(self) -> bool:
        """List the endpoint, and merge the listing into the records; return False if the pass ends before."""
        listing = self._read_pages()
        if listing is None:
            return False
        self._base = listing.get(self._session.target.base)
        self._merge(with_known_spellings(listing, self._records, self._records.known))
        self.listed = self.complete = True
        return True

    def list_or_halt(self) -> None:
        """List the endpoint. Raises PassHaltedError if the pass ends before."""
        if not self.list():
            raise PassHaltedError("the pass ended before it had listed all components of the endpoint")

    def list_recent(self, components: Collection[str]) -> bool:
        """List what was created since the first of these components, and merge what it shows of them.

        Returns False if the pass ends before.
        """
        listing = self._read_pages(created_after=self._since(components))
        if listing is None:
            return False
        records = {component: self._records[component] for component in components}
        shown = {component: live for component, live in listing.items() if component in records}
        for record in merge_listing(records, shown, base=self._session.target.base).values():
            self._records.put(record)
        return True

    def _since(self, components: Collection[str]) -> float:
        """Return a moment before the creation of these components: two clocks may differ."""
        return min(_created(self._records[component]) for component in components) - SETTLING_SECONDS

    def _read_pages(self, *, created_after: float | None = None) -> dict[str, ObservedComponent] | None:
        """Return the components on the endpoint; None if the pass ends before the last page."""
        service, endpoint, token = self._session.service, self._session.target.endpoint, None
        listing: dict[str, ObservedComponent] = {}
        while not self._session.is_late():
            try:
                page = self._retry(
                    partial(service.list_page, endpoint, token=token, created_after=created_after),
                    f"the components of endpoint '{endpoint}' cannot be listed",
                )
            except MissingError:
                return {}  # the endpoint is gone, and all components with it
            listing |= page.components
            token = page.next_token
            if token is None:
                return listing
        return None

    def _merge(self, listing: dict[str, ObservedComponent]) -> None:
        self.strangers.clear()
        known = self._records.known
        merged = merge_listing(self._records, listing, base=self._session.target.base)
        for component, record in merged.items():
            created = None if record.live is None else record.live.created
            if self.foreign.get(component) not in (None, created):
                del self.foreign[component]
            if component in known:
                self._records.put(record)
            elif component not in self.foreign:
                self.strangers[component] = record
        self.foreign = {name: created for name, created in self.foreign.items() if name in listing}

    def settled_foreign(self) -> dict[str, float]:
        """Return the foreign components without the young strangers, whose tags may come late."""
        known, latest = self._records.known, self._session.clock.now() - LATE_TAGS_SECONDS
        return {name: created for name, created in self.foreign.items() if name in known or created <= latest}

    @property
    def unread_strangers(self) -> dict[str, AdapterRecord]:
        """The strangers whose tags are to be read.

        A deletion beside many strangers reads only those with the fleet's prefix. A registry that knows only
        the deletion was lost: then every stranger is worth a call.
        """
        generation = self._session.generation
        lost = generation.number == 1 and not generation.request.rolling_back
        if not self._session.deleting or lost or len(self.strangers) <= TAGS_BEFORE_THE_END:
            return self.strangers
        start = adapter_component(self._session.target.prefix, "")
        return {name: record for name, record in self.strangers.items() if name.startswith(start)}

    def keep_strangers(self, components: Collection[str]) -> None:
        """Keep only these strangers: the tags of the others are read."""
        self.strangers = {name: self.strangers[name] for name in components}

    def note_foreign(self, component: str, created: float) -> None:
        """Note that a component is not the fleet's."""
        self.foreign[component] = created

    def note_write(self) -> None:
        """Note that a step wrote: only the next listing is complete again."""
        self.complete = False

    # --- the base

    def describe_base(self) -> ObservedBase | None:
        """Describe the base component; None if it is missing, elsewhere, or to go with the fleet."""
        if self._session.deleting:
            return None
        try:
            observed = self._retry(
                partial(self._session.service.describe_base, self._session.target.base),
                "the base component cannot be described",
            )
        except MissingError:
            observed = None
        if observed is not None and observed.live.endpoint != self._session.target.endpoint:
            observed = None
        self._base = None if observed is None else observed.live
        return observed

    def check_base(self) -> None:
        """Halt if the base component cannot have adapters now."""
        if self._session.deleting or not self.complete:
            return
        trouble = base_trouble(self._session.target.base, self._base)
        if trouble is not None:
            raise PassHaltedError(trouble)

    def _retry(self, call: Callable[[], Answer], failing: str) -> Answer:
        """Make a read that the pass cannot go on without, when the rate allows it. Raises MissingError.

        A read that is throttled is repeated until the pass ends.
        """
        session, reads, unanswered = self._session, self._limits.reads, 0
        while True:
            session.clock.sleep(reads.next_at - session.clock.now())
            session.renew()
            session.beat()
            reads.begin(session.clock.now())
            try:
                answer = call()
            except MissingError:
                raise
            except (ThrottledError, UnansweredError) as error:
                unanswered += isinstance(error, UnansweredError)
                self._limits.back_off(error, reads)
                if unanswered >= _MAX_UNANSWERED or session.is_late():
                    raise PassHaltedError(f"{failing}: {error}") from None
                session.clock.sleep(_RETRY_SECONDS)
            except ServiceError as error:
                raise PassHaltedError(f"{failing}: {error}") from None
            else:
                reads.succeeded()
                return answer


def _created(record: AdapterRecord) -> float:
    """Return when a component was created, or when its creation was sent; 0 if it does not exist."""
    if record.live is not None:
        return record.live.created
    return 0.0 if record.intent is None else record.intent.at
