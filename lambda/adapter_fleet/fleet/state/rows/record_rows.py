"""The rows of adapters' records."""

import json
from collections.abc import Collection, Iterable
from typing import Any

from adapter_fleet.common.serialization import converter, unstructured
from adapter_fleet.fleet.state.dynamodb_table import Item, delete_action, in_transactions, key, put_action
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.rows.leased_table import Lease, Rows
from adapter_fleet.fleet.state.rows.row import UnreadableError, reading, to_json

_MAX_RECORD_BYTES = 400_000
"""Bytes of a record's document, in ASCII. The limits of a manifest keep every record below."""

_DETAILS = ("checksum", "source", "probe", "evaluation")
"""The fields of an artifact that do not tell it apart. A record has them once for each version."""


class RecordTooLargeError(Exception):
    """The records of some `components` are too large to be stored; the others were stored."""

    def __init__(self, message: str, components: Collection[str]) -> None:
        super().__init__(message)
        self.components = components


class RecordRows(Rows):
    """Reads and writes records. `put` and `forget` are atomic for each transaction: up to 99 records."""

    def all(self) -> dict[str, AdapterRecord]:
        """Return the record of every adapter, by component name. Some rows cannot be read: `unreadable`."""
        records = map(_record_of, self._table.query("records"))
        return {record.component: record for record in records}

    def find(self, component: str) -> AdapterRecord | None:
        """Return the record of one adapter, None if there is none."""
        item = self._table.get("records", component)
        return None if item is None else _record_of(item)

    def put(self, records: Iterable[AdapterRecord], lease: Lease) -> None:
        """Write records. After LeaseLostError some of them may be written.

        Raises RecordTooLargeError for those above the limit, once the others are written.
        """
        texts = {record.component: to_json(_document_of(record)) for record in records}
        too_large = {name: len(text) for name, text in texts.items() if len(text) > _MAX_RECORD_BYTES}
        puts = [
            put_action(key("records", component) | {"doc": text})
            for component, text in texts.items()
            if component not in too_large
        ]
        for batch in in_transactions(puts, beside=1):
            self._table.transact_under(lease, batch)
        if too_large:
            component, size = next(iter(too_large.items()))
            raise RecordTooLargeError(
                f"the record of {component} should have at most {_MAX_RECORD_BYTES} bytes, got {size}",
                too_large.keys(),
            )

    def forget(self, components: Iterable[str], lease: Lease) -> None:
        """Delete records. After LeaseLostError some of them may be deleted."""
        deletes = [delete_action(key("records", component)) for component in dict.fromkeys(components)]
        for batch in in_transactions(deletes, beside=1):
            self._table.transact_under(lease, batch)


def _record_of(item: Item) -> AdapterRecord:
    """Return the record of an item."""
    component = item["sk"]
    try:
        with reading(item):
            document = json.loads(item["doc"])
            details: dict[tuple[str, str | None], Item] = {}
            for artifact in _artifacts_in(document):
                first = details.setdefault(_version_of(artifact), artifact)
                artifact.update(
                    {name: first[name] for name in _DETAILS if name in first and name not in artifact}
                )
            record = converter.structure(document, AdapterRecord)
            if record.component != component:
                raise ValueError(f"it is the record of {record.component!r}")
            return record
    except UnreadableError as error:
        return AdapterRecord(name=component, component=component, unreadable=str(error))


def _document_of(record: AdapterRecord) -> dict[str, Any]:
    """Return the document of a record. Of equal artifacts, only the first one has all details.

    Each further one has only the details in which it differs from the first. An artifact that is only
    compared with others has none.
    """
    document = unstructured(record)
    details: dict[tuple[str, str | None], Item] = {}
    for artifact in _artifacts_in(document):
        own = {name: artifact.pop(name, None) for name in _DETAILS}
        first = details.get(_version_of(artifact), dict.fromkeys(_DETAILS))
        details.setdefault(_version_of(artifact), own)
        artifact.update({name: own[name] for name in _DETAILS if own[name] != first[name]})
    failure, probed = document.get("failure", {}), document.get("probed", {})
    for compared in (document.get("passed"), failure.get("artifact"), probed.get("artifact")):
        for name in _DETAILS:
            (compared or {}).pop(name, None)
    return document


def _artifacts_in(document: Item) -> list[Item]:
    """Return the artifacts of a record's document whose details count."""
    intent = document.get("intent") or {}
    found = [document.get("serving"), *document.get("versions", ()), intent.get("artifact")]
    return [artifact for artifact in (*found, document.get("last_good")) if artifact is not None]


def _version_of(artifact: Item) -> tuple[str, str | None]:
    return artifact["uri"], artifact.get("digest")
