"""The rows of archives: what was read of them."""

import hashlib
import time
from contextlib import suppress

from adapter_fleet.common.serialization import unstructured
from adapter_fleet.fleet.state.archive_version import ArchiveReading
from adapter_fleet.fleet.state.configuration import HISTORY_SECONDS
from adapter_fleet.fleet.state.dynamodb_table import Item, key
from adapter_fleet.fleet.state.rows.leased_table import Rows
from adapter_fleet.fleet.state.rows.row import UnreadableError, from_json, reading, to_json


class ArchiveRows(Rows):
    """Readings of archives. They need no lease: every pass reads the same of one version."""

    def find(self, uri: str) -> ArchiveReading | None:
        """Return the last reading of an archive, None if there is none, or none that can be read."""
        item = self._table.get(**_archive_key(uri))
        if item is not None:
            with suppress(UnreadableError), reading(item):
                return from_json(item["doc"], ArchiveReading)
        return None

    def put(self, archive: ArchiveReading) -> None:
        """Store the reading of an archive. It replaces the one before."""
        doc, expires = to_json(unstructured(archive)), int(time.time()) + HISTORY_SECONDS
        self._table.put(_archive_key(archive.version.uri) | {"doc": doc, "expires": expires})


def _archive_key(uri: str) -> Item:
    # A sort key may have 1,024 bytes (DynamoDB's service quotas), and a URI may have more.
    return key("archives", hashlib.sha256(uri.encode()).hexdigest())
