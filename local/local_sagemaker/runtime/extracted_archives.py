"""Extracted adapter archives: one directory for each content, however many components serve it."""

import itertools
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from local_sagemaker.runtime.artifacts import Artifacts


@dataclass(eq=False)
class _Entry:
    identity: str
    directory: Path
    users: int = 0
    extracted: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class ExtractedArchives:
    """Read-only directories below one root. Thread-safe; calls block."""

    def __init__(self, root: Path, source: Artifacts):
        self._root = root
        self._source = source
        self._numbers = itertools.count(1)
        self._by_identity: dict[str, _Entry] = {}
        self._by_directory: dict[Path, _Entry] = {}
        self._lock = threading.Lock()

    def use(self, url: str, role: str) -> Path:
        """The directory of an archive, with one more user; HostingError if it cannot be fetched."""
        identity = self._source.identity(url, role)
        with self._lock:
            entry = self._by_identity.get(identity)
            if entry is None:
                entry = _Entry(identity, self._root / f"adapter-{next(self._numbers)}")
                self._by_identity[identity] = self._by_directory[entry.directory] = entry
            entry.users += 1
        try:
            with entry.lock:
                self._extract(entry, url, role)
        except BaseException:
            self.release(entry.directory)
            raise
        return entry.directory

    def _extract(self, entry: _Entry, url: str, role: str) -> None:
        if entry.extracted:
            return
        entry.directory.mkdir(parents=True)
        try:
            self._source.fetch_archive(url, role, entry.directory)
        except BaseException:
            shutil.rmtree(entry.directory, ignore_errors=True)
            raise
        entry.extracted = True

    def release(self, directory: Path) -> bool:
        """Give up one use of a directory, and remove it after the last; False if it is not an archive's."""
        with self._lock:
            entry = self._by_directory.get(directory)
            if entry is None:
                return False
            entry.users -= 1
            if entry.users:
                return True
            del self._by_identity[entry.identity], self._by_directory[directory]
        shutil.rmtree(directory, ignore_errors=True)
        return True
