"""The archive of an adapter: which files, in which form, and how to read one that a stranger made."""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, cast

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
README_FILE = "README.md"

REQUIRED_FILES = (CONFIG_FILE, WEIGHTS_FILE)
"""What an adapter is, in the order of the canonical archive.

The configuration comes first, so that a reader of the object in S3 can check it from its first bytes.
"""

ALLOWED_FILES = (*REQUIRED_FILES, README_FILE)
"""All that a directory or an archive may hold. The canonical archive leaves the README out: rewording it
makes no other adapter.
"""

GZIP_MAGIC = b"\x1f\x8b"

_CHUNK = 1024 * 1024
_MAX_HEADER_BYTES = 1024 * 1024
_PICKLES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
_CODE = frozenset({".py", ".pyc", ".pyd", ".sh", ".so"})


class ArchiveError(ValueError):
    """The archive cannot be read, or not within the limits."""


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """How much of an archive is read before it is refused. AWS publishes no limits for adapters."""

    entries: int = 64
    bytes: int = 16 * 1024**3
    expansion: int = 100
    """Uncompressed by compressed size. Real weights stay below 3, a file of zeros reaches 1,000."""


def problem_of_entry(name: str, kind: str, seen: set[str]) -> str | None:
    """Say why an entry has no place beside those `seen` before it, or None for one that has."""
    problem = _problem_of_name(name)
    if problem is None and kind != "file":
        problem = f"it should be a regular file, got a {kind}"
    if problem is None and name in seen:
        problem = "it is in the archive twice"
    return problem


def _problem_of_name(name: str) -> str | None:
    """Say why a file of this name has no place in an adapter, or None for one that has.

    Files lie at the root, and nothing but the two files and a README is taken: LMI from 18 on runs a
    `model.py` that it finds beside an adapter (docs.djl.ai, custom input formatter schema), installs a
    `requirements.txt`, and unpickling runs code.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return "its path leaves the archive"
    if len(path.parts) > 1:
        return "it is in a sub-folder, and the files have to be at the root"
    if name in ALLOWED_FILES:
        return None
    if path.suffix.lower() in _PICKLES:
        return "it is a pickle, which runs code when loaded; save the adapter as safetensors"
    if path.suffix.lower() in _CODE or name == "requirements.txt":
        return "it is code, which the container would run"
    return f"only {', '.join(ALLOWED_FILES)} belong to an adapter, as PEFT's save_pretrained() writes them"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of an archive: `kind` says in words what it is, `stream` is None if it is not a file."""

    name: str
    kind: str
    size: int
    stream: IO[bytes] | None


def entries(source: IO[bytes], limits: ArchiveLimits, *, gzip_only: bool = False) -> Iterator[Entry]:
    """Walk once and forwards through a tar, gzipped or not, to its last byte.

    Raises ArchiveError where it cannot be read or goes beyond `limits`. An entry's stream is to be read
    before the next entry is asked for. A leading `./` is dropped from the names, and the root itself left
    out, as `tar -C directory .` writes both.
    """
    reader = _BoundedReader(source, limits)
    if gzip_only and not reader.is_gzip:
        raise ArchiveError("it should be a gzipped tar archive (.tar.gz)")
    try:
        with tarfile.open(fileobj=reader, mode="r:") as tar:  # type: ignore[call-overload]
            for count, member in enumerate(tar, start=1):
                if count > limits.entries:
                    raise ArchiveError(f"it should have at most {limits.entries} entries")
                name = member.name.removeprefix("./")
                if member.isdir() and name in ("", "."):
                    continue
                kind = _kind(member)
                stream = tar.extractfile(member) if kind == "file" else None
                reader.in_entry = True
                yield Entry(name=name, kind=kind, size=member.size, stream=stream)
                reader.in_entry = False
        reader.drain()
    except tarfile.TarError as error:
        raise ArchiveError(f"it is no readable tar archive: {error}") from None


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "link"
    if member.isdir():
        return "folder"
    return "file" if member.isreg() and not member.issparse() else "special file"


class _Source:
    """The archive as it is stored: counts what is read, and lets the first bytes be looked at."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._start = raw.read(len(GZIP_MAGIC))
        self.is_gzip = self._start == GZIP_MAGIC
        self.count = 0

    def read(self, size: int) -> bytes:
        data, self._start = self._start, b""
        data += self._raw.read(max(size - len(data), 0))
        self.count += len(data)
        return data


class _BoundedReader:
    """The uncompressed tar, for `tarfile`: forwards only, and within the limits.

    `tarfile` reads headers into memory at the size that they claim. So what is read outside of an entry's
    content has a small budget of its own.
    """

    def __init__(self, source: IO[bytes], limits: ArchiveLimits) -> None:
        self._source = _Source(source)
        self.is_gzip = self._source.is_gzip
        self._limits = limits
        # A GzipFile asks no more of a file than to read.
        self._data = gzip.GzipFile(fileobj=cast(IO[bytes], self._source)) if self.is_gzip else self._source
        self._position = 0
        self._header_budget = _MAX_HEADER_BYTES
        self.in_entry = False

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        while self._position < position and self._take(min(position - self._position, _CHUNK)):
            pass
        return self._position

    def read(self, size: int) -> bytes:
        if self.in_entry:
            data = self._take(size)
            if len(data) < size:
                raise ArchiveError("it is truncated")
            return data
        self._header_budget -= size
        if self._header_budget < 0:
            raise ArchiveError(f"its headers should take at most {_MAX_HEADER_BYTES} bytes")
        return self._take(size)

    def drain(self) -> None:
        """Read to the end, where gzip keeps its checksum."""
        while self._take(_CHUNK):
            pass

    def _take(self, size: int) -> bytes:
        try:
            data = self._data.read(size)
        except (EOFError, OSError, zlib.error) as error:
            raise ArchiveError(f"it is no readable gzip file: {error}") from None
        self._position += len(data)
        if self._position > self._limits.bytes:
            raise ArchiveError(f"it should unpack to at most {self._limits.bytes} bytes")
        if self._position > _CHUNK and self._position > self._limits.expansion * self._source.count:
            raise ArchiveError(f"it should unpack to at most {self._limits.expansion} times its size")
        return data
