"""The cache of `adapters publish`: identities of adapters on this machine, and archives known to be in S3.

As in git and make, a file is unchanged while its device, inode, size and times are. The time of change
(ctime) cannot be set, so a copy that keeps the modification time counts as another file. Files that changed
in the last two seconds are not cached: a further change might not show in their times. An archive in S3 is
unchanged while its entity tag is.
"""

import contextlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from adapter_fleet.artifacts.archive import REQUIRED_FILES

_SETTLED_SECONDS = 2.0
_MAX_ENTRIES = 20_000

Stamp = list[list[int]]


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of an adapter's files, which changes with them. Raises OSError if one is missing."""
    files = [path / name for name in REQUIRED_FILES] if path.is_dir() else [path]
    return [
        [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
        for found in map(os.stat, files)
    ]


class PublishCache:
    """A cache in one file, which may be deleted at any time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._changed = False
        read: Any = None
        with contextlib.suppress(OSError, ValueError):
            read = json.loads(file.read_text())
        self._identities, self._archives = _part(read, "identities"), _part(read, "archives")

    @classmethod
    def of_user(cls) -> "PublishCache":
        """Return the cache of the user who runs the command."""
        folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return cls(Path(folder, "adapters", "published.json"))

    def identity(self, path: Path, stamp: Stamp) -> str | None:
        """Return the identity of an adapter with this stamp; None if it is not cached."""
        entry = self._identities.get(str(path.resolve()))
        if isinstance(entry, dict) and entry.get("stamp") == stamp and isinstance(entry.get("identity"), str):
            return str(entry["identity"])
        return None

    def add_identity(self, path: Path, stamp: Stamp, identity: str) -> None:
        """Cache an identity. The files had this stamp before and after they were read."""
        newest = max(max(file[-2:]) for file in stamp) / 1e9
        if time.time() - newest >= _SETTLED_SECONDS:
            self._add(self._identities, str(path.resolve()), {"stamp": stamp, "identity": identity})

    def knows_archive(self, uri: str, etag: str) -> bool:
        """Return True if the archive with this entity tag was uploaded, or verified against its key."""
        entry = self._archives.get(uri)
        return isinstance(entry, dict) and entry.get("etag") == etag

    def checksum(self, uri: str) -> str | None:
        """Return S3's SHA-256 of a cached archive, in the form of a manifest."""
        entry = self._archives.get(uri)
        checksum = entry.get("checksum") if isinstance(entry, dict) else None
        return checksum if isinstance(checksum, str) else None

    def add_archive(self, uri: str, etag: str, checksum: str | None) -> None:
        """Cache an archive that was uploaded or verified."""
        self._add(self._archives, uri, {"etag": etag, "checksum": checksum})

    def _add(self, entries: dict[str, Any], key: str, value: Any) -> None:
        with self._lock:
            entries.pop(key, None)
            entries[key] = value
            self._changed = True

    def save(self) -> None:
        """Write the file if something is new. A failure is ignored: the next run reads everything again."""
        if not self._changed:
            return
        with self._lock:
            text = json.dumps({"identities": _newest(self._identities), "archives": _newest(self._archives)})
            self._changed = False
        made = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                made.write_text(text)
                made.replace(self._file)
            finally:
                made.unlink(missing_ok=True)


def _part(read: Any, name: str) -> dict[str, Any]:
    part = read.get(name) if isinstance(read, dict) else None
    return part if isinstance(part, dict) else {}


def _newest(entries: dict[str, Any]) -> dict[str, Any]:
    return dict(list(entries.items())[-_MAX_ENTRIES:])
