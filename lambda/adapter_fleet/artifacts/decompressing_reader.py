"""Reads the uncompressed bytes of an untrusted archive: forwards only, in bounded memory, within limits.

`gzip.GzipFile` accepts any number of members. ISA-L would take two thirds of zlib's time, and a Lambda
function does not have it.
"""

import zlib
from collections.abc import Callable
from typing import Protocol

from adapter_fleet.artifacts.archive_error import ArchiveError, ArchiveFault, truncated

# The limits of an archive. Beyond them it is refused. AWS publishes no limits for adapters.
MAX_ENTRIES = 64
MAX_BYTES = 16 * 1024**3
MAX_EXPANSION = 100
"""Uncompressed size divided by compressed size. Real weights stay below 3; zeros reach 1,000."""

_GZIP_MAGIC = b"\x1f\x8b"

_GZIP_WINDOW_BITS = 31
_INPUT_BYTES = 64 * 1024
# glibc takes larger buffers from the system each time (M_MMAP_THRESHOLD in mallopt(3)): a tenth slower.
_OUTPUT_BYTES = 96 * 1024
_FREE_BYTES = 1024 * 1024
"""The output that is allowed at any expansion, as a small file may be all repetition."""
# Each member costs a new inflater. Programs that write many members put 64 KiB into each.
_FREE_MEMBERS = 64
_BYTES_PER_MEMBER = 16 * 1024


class Readable(Protocol):
    """A source of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none only at the end."""
        ...


class DecompressingReader:
    """Reads a gzip file, and gives its uncompressed bytes.

    `watch` gets all of them, piece by piece. Every method, and the making of a reader, raises ArchiveError if
    the archive is no gzip file, truncated, damaged or beyond the limits.
    """

    def __init__(self, source: Readable, *, watch: Callable[[bytes], object] | None = None) -> None:
        self._watch = watch
        self._piece = memoryview(b"")
        self._total = 0
        self._members = _GzipMembers(source)

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
            only_zeros = only_zeros and self._piece == _ZEROS[: len(self._piece)]
            self._piece = memoryview(b"")
        return only_zeros

    def _has_more(self) -> bool:
        if not self._piece:
            self._accept(self._members.next())
        return bool(self._piece)

    def _accept(self, data: bytes) -> None:
        self._piece = memoryview(data)
        self._total += len(data)
        if self._total > MAX_BYTES:
            raise ArchiveError(f"it should unpack to at most {MAX_BYTES} bytes", ArchiveFault.TOO_LARGE)
        if self._total > _FREE_BYTES and self._total > MAX_EXPANSION * self._members.count:
            raise ArchiveError(
                f"it should unpack to at most {MAX_EXPANSION} times its size", ArchiveFault.TOO_LARGE
            )
        if self._watch is not None:
            self._watch(data)


_ZEROS = memoryview(bytes(_OUTPUT_BYTES))


class _GzipMembers:
    """Inflates a gzip file: one or more members in a row (RFC 1952, 2.2), perhaps with zeros after them.

    count:
        Bytes read from the stored archive so far.
    """

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.count = 0
        self._input = b""
        while len(self._input) < len(_GZIP_MAGIC) and (more := self._read(len(_GZIP_MAGIC))):
            self._input += more
        if self._input[: len(_GZIP_MAGIC)] != _GZIP_MAGIC:
            raise ArchiveError("it should be a gzipped tar archive (.tar.gz)", ArchiveFault.NOT_GZIPPED_TAR)
        self._inflater: zlib._Decompress | None = zlib.decompressobj(_GZIP_WINDOW_BITS)
        self._members = 1
        self._made = 0
        self._is_full = False

    def next(self) -> bytes:
        """Return the next piece of output, empty at the end."""
        data = b""
        while not data and (inflater := self._inflater) is not None:
            # After a full piece, zlib may hold more output than the rest of the input gives.
            given = self._input
            if not given and not self._is_full:
                given = self._read(_INPUT_BYTES)
                if not given:
                    raise truncated()
            try:
                data = inflater.decompress(given, _OUTPUT_BYTES)
            except zlib.error as error:
                raise ArchiveError(f"it is no readable gzip file: {error}", ArchiveFault.DAMAGED) from None
            self._input, self._is_full = inflater.unconsumed_tail, len(data) == _OUTPUT_BYTES
            self._made += len(data)
            if inflater.eof:
                self._inflater = self._next_member(inflater.unused_data)
        return data

    def _next_member(self, rest: bytes) -> "zlib._Decompress | None":
        """Return an inflater for the member that begins in `rest` or after it; None if there is no other."""
        rest = rest.lstrip(b"\0")
        while len(rest) < len(_GZIP_MAGIC) and (more := self._read(_INPUT_BYTES)):
            rest = (rest + more).lstrip(b"\0")
        if not rest:
            return None
        if rest[: len(_GZIP_MAGIC)] != _GZIP_MAGIC:
            raise ArchiveError("it has something after its end that is no gzip", ArchiveFault.FORM)
        self._members += 1
        if self._members > _FREE_MEMBERS + self._made // _BYTES_PER_MEMBER:
            raise ArchiveError(f"it should be one gzip file, got {self._members} in a row", ArchiveFault.FORM)
        self._input = rest
        return zlib.decompressobj(_GZIP_WINDOW_BITS)

    def _read(self, size: int) -> bytes:
        data = self._source.read(size)
        self.count += len(data)
        return data
