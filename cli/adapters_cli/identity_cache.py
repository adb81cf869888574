"""Which identities adapters of this machine have, so that they are not read again while they stay the same.

As git and make do, it takes files for the same whose device, inode, size and times are. Their time of change
cannot be set, so a copy that keeps the time of modification is another file all the same. Files that have
changed within the last seconds are not remembered: another change might not show in their times.
"""

import contextlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from adapter_fleet.archive import REQUIRED_FILES

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


class IdentityCache:
    """Identities by path and stamp, in a file that may be lost at any time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._entries: dict[str, Any] = {}
        self._changed = False
        with contextlib.suppress(OSError, ValueError):
            read = json.loads(file.read_text())
            self._entries = read if isinstance(read, dict) else {}

    @classmethod
    def of_user(cls) -> "IdentityCache":
        """Return the cache of the person that runs this."""
        folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return cls(Path(folder, "adapters", "identities.json"))

    def get(self, path: Path, stamp: Stamp) -> str | None:
        """Return the identity of this version of an adapter, None where it is not known."""
        entry = self._entries.get(str(path.resolve()))
        if isinstance(entry, dict) and entry.get("stamp") == stamp and isinstance(entry.get("identity"), str):
            return str(entry["identity"])
        return None

    def put(self, path: Path, stamp: Stamp, identity: str) -> None:
        """Remember an identity that was read from files which had this stamp before and after."""
        newest = max(max(file[-2:]) for file in stamp) / 1e9
        if time.time() - newest < _SETTLED_SECONDS:
            return
        with self._lock:
            self._entries.pop(str(path.resolve()), None)
            self._entries[str(path.resolve())] = {"stamp": stamp, "identity": identity}
            self._changed = True

    def save(self) -> None:
        """Write what is new; where that cannot be, the files are read again next time."""
        if not self._changed:
            return
        kept = dict(list(self._entries.items())[-_MOST_ENTRIES:])
        made = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                made.write_text(json.dumps(kept))
                made.replace(self._file)
            finally:
                made.unlink(missing_ok=True)
