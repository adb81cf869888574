"""What a pass observes at the service: the components on the endpoint, and the base component."""

import math
from collections.abc import Callable
from typing import TypeVar

from adapter_fleet.fleet.planning.observe import (
    base_trouble,
    known_foreign,
    merge_listing,
    with_known_spellings,
)
from adapter_fleet.fleet.reconcile.desired_state import DesiredState
from adapter_fleet.fleet.reconcile.rate_limiter import CallLimits
from adapter_fleet.fleet.reconcile.record_cache import RecordCache
from adapter_fleet.fleet.reconcile.session import PassHaltedError, Session
from adapter_fleet.fleet.state.components import ObservedBase, ObservedComponent
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.sagemaker_port import (
    MissingError,
    SageMakerPort,
    ServiceError,
    ThrottledError,
    UnansweredError,
)

PAGE = 100
"""Components that one call lists."""

_MAX_ATTEMPTS = 8
_RETRY_SECONDS = 0.1

Answer = TypeVar("Answer")


class Observation:
    """The components on the endpoint, as the last listing showed them.

    pages:
        Calls that a listing takes.
    complete:
        True if a listing has shown the endpoint since the last write.
    foreign:
        Components known not to be the fleet's: their creation times.
    strangers:
        Components that neither the registry nor the manifest knows, and whose tags nobody has read.
    """

    def __init__(
        self,
        session: Session,
        service: SageMakerPort,
        limits: CallLimits,
        records: RecordCache,
        desired: DesiredState,
    ) -> None:
        self._session, self._service, self._limits = session, service, limits
        self._records, self._desired = records, desired
        self.listed = session.resumes
        self.complete = False
        foreign = session.fleet.foreign
        if not session.resumes:
            # The tags of known components are read again, and before a deletion those of all.
            foreign = {} if session.deleting else known_foreign(foreign, self._known)
        self.foreign = dict(foreign)
        self.strangers: dict[str, AdapterRecord] = {}
        self.pages = math.ceil((len(records) + len(self.foreign) + 1) / PAGE)
        self._base: ObservedComponent | None = None

    def list(self) -> None:
        """List the endpoint, and merge the listing into the records."""
        endpoint = self._session.target.endpoint
        listing, self.pages = self._retry(
            self._read_pages, f"the components of endpoint '{endpoint}' cannot be listed"
        )
        self._base = listing.get(self._session.target.base)
        self._merge(with_known_spellings(listing, self._known))
        self.listed = self.complete = True

    @property
    def _known(self) -> set[str]:
        """The components that are wanted or recorded."""
        return self._records.keys() | self._desired.wanted.keys()

    def _read_pages(self) -> tuple[dict[str, ObservedComponent], int]:
        """Return all components on the endpoint, and how many pages that took."""
        listing: dict[str, ObservedComponent] = {}
        pages = 0
        try:
            for page in self._service.pages(self._session.target.endpoint):
                self._limits.reads.begin(self._session.clock.now())
                self._limits.reads.succeeded()
                listing |= page
                pages += 1
                self._session.renew()
        except MissingError:
            listing.clear()  # the endpoint is gone, and all components with it
        return listing, max(1, pages)

    def _merge(self, listing: dict[str, ObservedComponent]) -> None:
        self.strangers.clear()
        known = self._known
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

    def note_write(self) -> None:
        """Note that a step wrote: only the next listing is complete again."""
        self.complete = False

    # --- the base

    def describe_base(self) -> ObservedBase | None:
        """Describe the base component; None where it is missing or on another endpoint."""
        try:
            observed = self._retry(
                lambda: self._service.describe_base(self._session.target.base),
                "the base component cannot be described",
            )
        except MissingError:
            observed = None
        else:
            self._limits.reads.succeeded()
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
        """Make a read that the pass cannot go on without, and retry it with backoff. Raises MissingError."""
        clock, attempts = self._session.clock, 0
        while True:
            try:
                return call()
            except MissingError:
                raise
            except (ThrottledError, UnansweredError) as error:
                attempts += 1
                self._limits.back_off(error, self._limits.reads)
                if attempts >= _MAX_ATTEMPTS or clock.now() >= self._session.pass_input.deadline:
                    raise PassHaltedError(f"{failing}: {error}") from None
                clock.sleep(self._limits.reads.delay(clock.now()) + _RETRY_SECONDS)
                self._session.renew()
            except ServiceError as error:
                raise PassHaltedError(f"{failing}: {error}") from None
