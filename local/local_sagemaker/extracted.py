"""Adapter archives in extracted form: once for each content, however many components serve it."""

import itertools
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class ArchiveSource(Protocol):
    """Where archives come from, as it is needed here; `Artifacts` is the real one."""

    def identity(self, url: str, role: str) -> str:
        """What is the same for the same content; HostingError when the role may not read it."""

    def fetch_adapter(self, url: str, role: str, target: Path) -> None:
        """Fill `target` with the files of an archive; HostingError when that is impossible."""


@dataclass(eq=False)
class _Entry:
    identity: str
    directory: Path
    users: int = 0
    extracted: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class ExtractedArchives:
    """Directories below one root, that nobody writes to; for use from many threads, which it blocks."""

    def __init__(self, root: Path, source: ArchiveSource):
        self._root = root
        self._source = source
        self._numbers = itertools.count(1)
        self._by_identity: dict[str, _Entry] = {}
        self._by_directory: dict[Path, _Entry] = {}
        self._lock = threading.Lock()

    def use(self, url: str, role: str) -> Path:
        """The directory of an archive, for one more user; HostingError when there is none."""
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
            self.give_back(entry.directory)
            raise
        return entry.directory

    def _extract(self, entry: _Entry, url: str, role: str) -> None:
        if entry.extracted:
            return
        entry.directory.mkdir(parents=True)
        try:
            self._source.fetch_adapter(url, role, entry.directory)
        except BaseException:
            shutil.rmtree(entry.directory, ignore_errors=True)
            raise
        entry.extracted = True

    def give_back(self, directory: Path) -> bool:
        """Remove a directory with its last user; False if it is none of these."""
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
