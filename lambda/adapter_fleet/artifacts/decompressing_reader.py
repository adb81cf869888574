"""Reads the uncompressed bytes of an untrusted archive: forwards only, in bounded memory, within limits.

ISA-L would take two thirds of zlib's time, and a Lambda function does not have it.
"""

import gzip
import zlib
from collections.abc import Callable
from typing import Any, Protocol, cast

from adapter_fleet.artifacts.archive import ArchiveError, ArchiveFault, truncated
from adapter_fleet.artifacts.foreign_content import foreign_archive

# The limits of an archive. Beyond them it is refused. AWS publishes no limits for adapters.
MAX_ENTRIES = 64
MAX_BYTES = 16 * 1024**3
MAX_EXPANSION = 100
"""Uncompressed size divided by compressed size. Real weights stay below 3; zeros reach 1,000."""

# glibc takes larger buffers from the system each time (M_MMAP_THRESHOLD in mallopt(3)): a tenth slower.
_OUTPUT_BYTES = 96 * 1024
_INPUT_BYTES = 64 * 1024  # Python's gzip asks for 8 or, since 3.12, for 128 KiB at a time.
_BLOCK_BYTES = 512
_FREE_BYTES = 1024 * 1024
"""What is allowed at any expansion: a small file may be all repetition, or hold hardly anything."""


class Readable(Protocol):
    """A source of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none only at the end."""
        ...


class DecompressingReader:
    """Reads a gzip file, and gives its uncompressed bytes.

    `watch` gets all of them, piece by piece. Every method raises ArchiveError if the archive is no gzip file,
    truncated, damaged or beyond the limits.
    """

    def __init__(self, source: Readable, *, watch: Callable[[bytes], object] | None = None) -> None:
        self._watch = watch
        self._piece = memoryview(b"")
        self._source = _CountedSource(source)
        # `gzip` only reads. Its annotations ask for `seek` as well.
        self._gzip = gzip.GzipFile(fileobj=cast(Any, self._source))

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only at the end."""
        pieces = []
        while size > 0 and self._has_more():
            piece = self._piece[:size]
            self._piece = self._piece[len(piece) :]
            size -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Skip `size` bytes; ArchiveError if there are fewer."""
        while size > 0:
            if not self._has_more():
                raise truncated()
            step = min(size, len(self._piece))
            self._piece = self._piece[step:]
            size -= step

    def ends_with_zeros(self) -> bool:
        """Read to the end, where gzip has its checksum; tell whether all bytes were zeros."""
        only_zeros = True
        while self._has_more():
            only_zeros = only_zeros and not bytes(self._piece).strip(b"\0")
            self._piece = memoryview(b"")
        return only_zeros

    def _has_more(self) -> bool:
        if not self._piece:
            self._accept(self._next())
        return bool(self._piece)

    def _next(self) -> bytes:
        """Return the next piece of output, empty at the end."""
        try:
            data = self._gzip.read1(_OUTPUT_BYTES)
        except EOFError:
            raise truncated() from None
        except (gzip.BadGzipFile, zlib.error) as error:
            if self._source.unpacked:
                raise ArchiveError(f"it is no readable gzip file: {error}", ArchiveFault.DAMAGED) from None
            raise _no_archive(self._source.first_block()) from None
        if not self._source.count:
            raise _no_archive(b"")
        return data

    def _accept(self, data: bytes) -> None:
        self._piece = memoryview(data)
        total = self._source.unpacked = self._source.unpacked + len(data)
        if total > MAX_BYTES:
            raise ArchiveError(f"it should unpack to at most {MAX_BYTES} bytes", ArchiveFault.TOO_LARGE)
        if total > _FREE_BYTES and total > MAX_EXPANSION * self._source.count:
            raise ArchiveError(
                f"it should unpack to at most {MAX_EXPANSION} times its size", ArchiveFault.TOO_LARGE
            )
        if self._watch is not None:
            self._watch(data)


def _no_archive(start: bytes) -> ArchiveError:
    if not start:
        return ArchiveError("it is empty", ArchiveFault.NOT_GZIPPED_TAR)
    if (foreign := foreign_archive(start)) is not None:
        return ArchiveError(foreign, ArchiveFault.FOREIGN)
    return ArchiveError("it should be a gzipped tar archive (.tar.gz)", ArchiveFault.NOT_GZIPPED_TAR)


class _CountedSource:
    """A stored archive that counts what is read from it.

    unpacked:
        The bytes that came of it. A file of empty gzip members would take long to read, and give none.
    """

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.count = self.unpacked = 0
        self._first = b""

    def read(self, size: int) -> bytes:
        if self.count > _FREE_BYTES + 2 * self.unpacked:
            raise ArchiveError("it should unpack to at least half its size", ArchiveFault.FORM)
        data = self._source.read(min(size, _INPUT_BYTES))
        self.count += len(data)
        if len(self._first) < _BLOCK_BYTES:
            self._first += data
        return data

    def first_block(self) -> bytes:
        """Return the first block of it, after a read."""
        while len(self._first) < _BLOCK_BYTES and self.read(_BLOCK_BYTES):
            pass
        return self._first
