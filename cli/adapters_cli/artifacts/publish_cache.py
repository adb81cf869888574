"""What a run has found out, so that the next one need not: identities of adapters, and archives in S3.

As git and make do, it takes files for the same whose device, inode, size and times are. Their time of change
cannot be set, so a copy that keeps the time of modification is another file all the same. Files that have
changed within the last seconds are not remembered: another change might not show in their times. An archive
in S3 is the same while its entity tag is.
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
_MOST_ENTRIES = 20_000

Stamp = list[list[int]]


def stamp_of(path: Path) -> Stamp:
    """Return what tells one version of an adapter from another unread; OSError where a file is missing."""
    files = [path / name for name in REQUIRED_FILES] if path.is_dir() else [path]
    return [
        [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
        for found in map(os.stat, files)
    ]


class Memory:
    """What is remembered, in a file that may be lost at any time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._changed = False
        read: Any = None
        with contextlib.suppress(OSError, ValueError):
            read = json.loads(file.read_text())
        self._identities, self._archives = _part(read, "identities"), _part(read, "archives")

    @classmethod
    def of_user(cls) -> "Memory":
        """Return that of the person who runs this."""
        folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return cls(Path(folder, "adapters", "published.json"))

    def identity(self, path: Path, stamp: Stamp) -> str | None:
        """Return the identity of this version of an adapter, None where it is not known."""
        entry = self._identities.get(str(path.resolve()))
        if isinstance(entry, dict) and entry.get("stamp") == stamp and isinstance(entry.get("identity"), str):
            return str(entry["identity"])
        return None

    def note_identity(self, path: Path, stamp: Stamp, identity: str) -> None:
        """Remember an identity that was read from files which had this stamp before and after."""
        newest = max(max(file[-2:]) for file in stamp) / 1e9
        if time.time() - newest >= _SETTLED_SECONDS:
            self._note(self._identities, str(path.resolve()), {"stamp": stamp, "identity": identity})

    def knows_archive(self, uri: str, etag: str) -> bool:
        """Tell whether the archive with this tag was uploaded, or found to be what its key says."""
        entry = self._archives.get(uri)
        return isinstance(entry, dict) and entry.get("etag") == etag

    def checksum(self, uri: str) -> str | None:
        """Return S3's SHA-256 of an archive that is known, as a manifest has it."""
        entry = self._archives.get(uri)
        checksum = entry.get("checksum") if isinstance(entry, dict) else None
        return checksum if isinstance(checksum, str) else None

    def note_archive(self, uri: str, etag: str, checksum: str | None) -> None:
        """Remember that it was."""
        self._note(self._archives, uri, {"etag": etag, "checksum": checksum})

    def _note(self, entries: dict[str, Any], key: str, value: Any) -> None:
        with self._lock:
            entries.pop(key, None)
            entries[key] = value
            self._changed = True

    def save(self) -> None:
        """Write what is new; where that cannot be, it is found out again next time."""
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
    return dict(list(entries.items())[-_MOST_ENTRIES:])
