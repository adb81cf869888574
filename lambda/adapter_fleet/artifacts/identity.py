"""Computes the identity of the adapter in an untrusted archive, in one pass and in bounded memory.

`packing` does the same faster, with a compiled library and files on disk. A Lambda function has neither.
"""

import hashlib
from collections.abc import Callable

from adapter_fleet.artifacts.archive import (
    CONFIG_FILE,
    REQUIRED_FILES,
    WEIGHTS_FILE,
    ArchiveError,
    belongs_to_adapter,
)
from adapter_fleet.artifacts.decompressing_reader import Readable
from adapter_fleet.artifacts.tar import (
    ArchiveEntry,
    canonical_end,
    canonical_header,
    canonical_padding,
    entries,
)

_PIECE_BYTES = 256 * 1024


def identities_of(open_: Callable[[], Readable]) -> tuple[str, ...]:
    """Return the SHA-256 of the tar in an archive and, if it differs, the identity of the adapter in it.

    An archive that holds more than an adapter has no identity. An archive with the weights before the
    configuration is read twice. Raises ArchiveError for an archive that cannot be read to its end, and the
    errors of reading.
    """
    tar, canonical = hashlib.sha256(), _CanonicalHash()
    for entry in entries(open_(), watch=tar.update):
        canonical.take(entry)
    if canonical.lacks_weights:
        for entry in entries(open_()):
            canonical.take_weights(entry)
    found = canonical.hexdigest()
    return tuple(dict.fromkeys(filter(None, (tar.hexdigest(), found))))


class _CanonicalHash:
    """Hashes the canonical tar of the files in another tar."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._sizes: dict[str, int] = {}
        self._seen: set[str] = set()
        self._is_adapter = True
        self.lacks_weights = False

    def take(self, entry: ArchiveEntry) -> None:
        if not belongs_to_adapter(entry.name, entry.kind, self._seen):
            self._is_adapter = self.lacks_weights = False
        self._seen.add(entry.name)
        if not self._is_adapter or entry.name not in REQUIRED_FILES:
            return
        if entry.name == WEIGHTS_FILE and CONFIG_FILE not in self._sizes:
            self._sizes[WEIGHTS_FILE] = entry.size
            return
        self._hash(entry)
        self.lacks_weights = entry.name == CONFIG_FILE and WEIGHTS_FILE in self._sizes
        self._sizes[entry.name] = entry.size

    def take_weights(self, entry: ArchiveEntry) -> None:
        if entry.name == WEIGHTS_FILE and self.lacks_weights:
            if entry.size != self._sizes[WEIGHTS_FILE]:
                raise ArchiveError("it changed while it was read")
            self._hash(entry)
            self.lacks_weights = False

    def _hash(self, entry: ArchiveEntry) -> None:
        assert entry.stream is not None  # it is a file
        self._sha.update(canonical_header(entry.name, entry.size))
        while piece := entry.stream.read(_PIECE_BYTES):
            self._sha.update(piece)
        self._sha.update(canonical_padding(entry.size))

    def hexdigest(self) -> str | None:
        """Return the identity; None if the archive holds anything but an adapter."""
        if not self._is_adapter or self.lacks_weights or set(self._sizes) != set(REQUIRED_FILES):
            return None
        self._sha.update(canonical_end([self._sizes[name] for name in REQUIRED_FILES]))
        return self._sha.hexdigest()
