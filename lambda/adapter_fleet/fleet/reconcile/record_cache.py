"""The adapters' records during a pass: read once, and written back to the registry in batches."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.state.records import AdapterRecord, Event
from adapter_fleet.fleet.state.rows.record_rows import RecordTooLargeError

_FULL_RECORDS = 25


class RecordCache(Mapping[str, AdapterRecord]):
    """The record of every component that the pass knows, by component, and the events of this pass.

    declared:
        The components that the manifest declares.
    in_use:
        A view of the components whose step is being taken. A step writes its own record to the registry, and
        an older one must not overwrite that.
    """

    def __init__(self, session: Session, *, declared: Collection[str], in_use: Collection[str]) -> None:
        self._session = session
        self._declared, self._in_use = declared, in_use
        self._stored = session.registry.records.all()
        self._records = dict(self._stored)
        self._changed: set[str] = set()
        self._events: list[Event] = []
        self._drifted: set[str] = set()
        self._unite_spellings()

    def _unite_spellings(self) -> None:
        """Keep one record for each component, under the spelling that the manifest has.

        SageMaker ignores the case of names: the deletion of one spelling would take the other one down. The
        guard refuses new spellings, but a change that is taken back may bring an earlier one back.
        """
        spellings = {component.lower(): component for component in self._declared}
        for component, record in list(self._records.items()):
            spelling = spellings.get(component.lower(), component)
            if spelling == component or record.unreadable is not None:
                continue
            known = self._records.get(spelling)
            if known is not None and known.is_own:
                if record.intent is None and record.owned in (None, known.owned):
                    self.drop(component)
            elif not record.is_own:
                # What a spelling left that never had a component, such as a failure.
                self.drop(component)
                if record.claimed is not None:
                    self.put(replace(record, component=spelling))
            elif self._session.generation.exempt:
                self.drop(component)
                self.put(replace(record, component=spelling))

    def __getitem__(self, component: str) -> AdapterRecord:
        return self._records[component]

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def declare(self, components: Collection[str]) -> None:
        """Know these components, too, as those of the fleet."""
        self._declared = {*self._declared, *components}

    @property
    def known(self) -> set[str]:
        """The components that are recorded or declared."""
        return self._records.keys() | self._declared

    def put(self, record: AdapterRecord) -> None:
        """Keep a record. Those of strangers never go to the registry, nor those that cannot be read."""
        component = record.component
        self._records[component] = record
        stranger = not record.is_own and component not in self._declared
        if record.unreadable is not None or (stranger and component not in self._stored):
            return
        if self._stored.get(component) != record:
            self._changed.add(component)

    def add_unsaved(self, record: AdapterRecord) -> None:
        """Keep a record for this pass only."""
        self._records[record.component] = record

    def note_written(self, component: str) -> None:
        """Note that a step wrote the record itself, so that the registry may have another one."""
        self._changed.add(component)

    def drop(self, component: str) -> None:
        """Forget a component, in the registry as well if its record can be read."""
        self._records.pop(component, None)
        stored = self._stored.get(component)
        if stored is not None and stored.unreadable is None:
            self._changed.add(component)

    # --- events

    def note(self, record: AdapterRecord, what: str, *, cause: str | None = None) -> None:
        """Log an event that the reconciler caused without a write."""
        generation = self._session.generation.number
        at = self._session.clock.now()
        self.log(
            Event(
                component=record.component,
                name=record.name,
                at=at,
                what=what,
                generation=generation,
                cause=cause,
            )
        )

    def log(self, event: Event) -> None:
        """Add an event to the adapter's history and to the log."""
        self._events.append(event)
        if event.what == "drifted":
            self._drifted.add(event.component)
        self._session.telemetry.changed(event)

    @property
    def drifted(self) -> int:
        """How many components are or were not as the manifest says, repaired in this pass or not."""
        drifted = {name for name, record in self._records.items() if record.drifted is not None}
        return len(drifted | self._drifted)

    @property
    def lost_archives(self) -> int:
        """How many adapters in service have an archive that no new copy could load."""
        return sum(record.archive_trouble is not None for record in self._records.values())

    # --- the registry

    def flush_if_full(self) -> None:
        """Write to the registry once many records have changed."""
        if len(self._changed) >= _FULL_RECORDS:
            self.flush()

    def flush(self) -> None:
        """Write what changed to the registry."""
        in_use = set(self._in_use)
        written = sorted(self._changed - in_use)
        changed = [self._records[name] for name in written if name in self._records]
        gone = [name for name in written if name not in self._records]
        registry, lease = self._session.registry, self._session.lease
        if changed:
            try:
                registry.records.put(changed, lease)
            except RecordTooLargeError as error:
                # The stored ones stay as they are. The limits of a manifest rule this out for new records.
                for component in error.components:
                    self._session.telemetry.unexpected(component, error)
                changed = [record for record in changed if record.component not in error.components]
        if gone:
            registry.records.forget(gone, lease)
        for record in changed:
            self._stored[record.component] = record
        for name in gone:
            self._stored.pop(name, None)
        self._changed &= in_use
        if self._events:
            registry.events.append(self._events)
            self._events.clear()
