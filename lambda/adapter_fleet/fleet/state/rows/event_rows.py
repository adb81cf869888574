"""The rows of events: the histories of adapters."""

import hashlib
from collections.abc import Sequence

from adapter_fleet.common.naming import without_version
from adapter_fleet.common.serialization import unstructured
from adapter_fleet.fleet.state.configuration import HISTORY_SECONDS
from adapter_fleet.fleet.state.dynamodb_table import Item, key
from adapter_fleet.fleet.state.records import Event
from adapter_fleet.fleet.state.rows.leased_table import Rows
from adapter_fleet.fleet.state.rows.row import UnreadableError, from_json, reading, to_json

MOST_EVENTS = 10_000
"""How many events of an adapter are looked through for those of one version."""


class EventRows(Rows):
    """Reads and writes events. They need no lease."""

    def append(self, events: Sequence[Event]) -> None:
        """Add events to the histories. The same event at the same place of a call is the same entry."""
        items = {}
        for index, event in enumerate(events):
            doc = to_json(unstructured(event))
            mark = hashlib.sha256(doc.encode()).hexdigest()[:8]
            sk = f"{event.at:018.6f}#{index:05}#{mark}"
            items[event.component, sk] = key(f"history#{_history_of(event)}", sk) | {
                "doc": doc,
                "expires": int(event.at) + HISTORY_SECONDS,
            }
        self._table.put_all(list(items.values()))

    def newest(self, component: str, limit: int) -> list[Event]:
        """Return the newest events of a component and of the versions that it stands for, newest first."""
        rows = self._table.query(f"history#{component}", newest=limit)
        events = [_event_of(component, row) for row in rows]
        shared = without_version(component)
        if shared != component:
            rows = self._table.query(f"history#{shared}", newest=MOST_EVENTS)
            others = [_event_of(shared, row) for row in rows]
            events += [event for event in others if event.component == component]
        return sorted(events, key=lambda event: event.at, reverse=True)[:limit]


def _history_of(event: Event) -> str:
    """Return the component whose history has an event: all versions of an adapter share one."""
    shared = without_version(event.component)
    return shared if shared.endswith(f"-{event.name}") else event.component


def _event_of(component: str, item: Item) -> Event:
    try:
        with reading(item):
            return from_json(item["doc"], Event)
    except UnreadableError as error:
        at = float(item["sk"].partition("#")[0])
        why = str(error)
        return Event(component=component, name=component, at=at, what="unreadable", generation=0, cause=why)
