"""The uncompressed bytes of an archive that a stranger made: forwards only, in bounded memory, within limits.

`gzip.GzipFile` would do, but takes three halves of the time, and any number of members. Where `isal` is
installed it inflates; a Lambda has no compiled library, and does with zlib.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from adapter_fleet.check_rules import CheckRule

try:
    from isal import isal_zlib as _codec
except ImportError:
    import zlib as _codec  # type: ignore[no-redef]

_DAMAGED: Any = _codec.error
GZIP_MAGIC = b"\x1f\x8b"

_INPUT_BYTES = 64 * 1024
# Larger ones glibc takes from the system each time (M_MMAP_THRESHOLD in mallopt(3)), which costs a tenth.
_OUTPUT_BYTES = 96 * 1024
_FREE_BYTES = 1024 * 1024
"""How much may come whatever the expansion: a small file may be nothing but repetition."""
_GZIP_WINDOW_BITS = 31
# Each member costs its inflater. Programs that write many put 64 KiB into each.
_FREE_MEMBERS = 64
_BYTES_OF_A_MEMBER = 16 * 1024


class Readable(Protocol):
    """What an archive is read from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none only at the end."""
        ...


class ArchiveError(ValueError):
    """The archive cannot be read, or not within the limits; `rule` is the one that it breaks."""

    def __init__(self, message: str, rule: CheckRule = CheckRule.PATH_READABLE) -> None:
        super().__init__(message)
        self.rule = rule


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """How much of an archive is read before it is refused. AWS publishes no limits for adapters."""

    entries: int = 64
    bytes: int = 16 * 1024**3
    expansion: int = 100
    """Uncompressed by compressed size. Real weights stay below 3, a file of zeros reaches 1,000."""


class Unpacked:
    """What an archive holds, gzipped or not.

    `watch` gets all of it, piece by piece. Every method raises ArchiveError where the archive is truncated,
    damaged or beyond the limits.
    """

    def __init__(
        self, source: Readable, limits: ArchiveLimits, *, watch: Callable[[bytes], object] | None = None
    ) -> None:
        counted = _Counted(source)
        self._counted = counted
        self._limits = limits
        self._watch = watch
        self._piece = memoryview(b"")
        self._total = 0
        start = counted.read_full(len(GZIP_MAGIC))
        self.is_gzip = start == GZIP_MAGIC
        self._next: Callable[[], bytes]
        if self.is_gzip:
            self._next = _Members(start, counted).next
        else:
            self._next = lambda: counted.read(_OUTPUT_BYTES)
            self._took(start)

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
        """Leave `size` bytes out; ArchiveError where there are fewer."""
        while size > 0:
            if not self._has_more():
                raise truncated()
            step = min(size, len(self._piece))
            self._piece = self._piece[step:]
            size -= step

    def ends_with_zeros(self) -> bool:
        """Read to the end, where gzip keeps its checksum; tell whether there were nothing but zeros."""
        only_zeros = True
        while self._has_more():
            only_zeros = only_zeros and self._piece == _ZEROS[: len(self._piece)]
            self._piece = memoryview(b"")
        return only_zeros

    def _has_more(self) -> bool:
        if not self._piece:
            self._took(self._next())
        return bool(self._piece)

    def _took(self, data: bytes) -> None:
        self._piece = memoryview(data)
        self._total += len(data)
        limits = self._limits
        if self._total > limits.bytes:
            raise ArchiveError(f"it should unpack to at most {limits.bytes} bytes", CheckRule.ARCHIVE_SIZE)
        if self._total > _FREE_BYTES and self._total > limits.expansion * self._counted.count:
            raise ArchiveError(
                f"it should unpack to at most {limits.expansion} times its size", CheckRule.ARCHIVE_EXPANSION
            )
        if self._watch is not None:
            self._watch(data)


def truncated() -> ArchiveError:
    """Make the error for an archive that ends too early."""
    return ArchiveError("it is truncated", CheckRule.ARCHIVE_TRUNCATED)


_ZEROS = memoryview(bytes(_OUTPUT_BYTES))


class _Counted:
    """The archive as it is stored, and how much of it was read."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.count = 0

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self.count += len(data)
        return data

    def read_full(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (more := self.read(size - len(data))):
            data += more
        return data


class _Members:
    """Inflates a gzip file, which may be several in a row (RFC 1952, 2.2), and have zeros behind it."""

    def __init__(self, start: bytes, source: _Counted) -> None:
        self._source = source
        self._input = start
        self._inflater: Any = _codec.decompressobj(_GZIP_WINDOW_BITS)
        self._members = 1
        self._made = 0
        self._is_full = False

    def next(self) -> bytes:
        """Return the next piece of what is inside, nothing at the end."""
        while self._inflater is not None:
            # A full piece may have left more inside of the inflater than there is input for.
            if not self._input and not self._is_full:
                self._input = self._source.read(_INPUT_BYTES)
                if not self._input:
                    raise truncated()
            data = self._inflate()
            self._made += len(data)
            if data:
                return data
        return b""

    def _inflate(self) -> bytes:
        inflater = self._inflater
        try:
            data: bytes = inflater.decompress(self._input, _OUTPUT_BYTES)
        except _DAMAGED as error:
            raise ArchiveError(f"it is no readable gzip file: {error}", CheckRule.ARCHIVE_DAMAGED) from None
        self._is_full = len(data) == _OUTPUT_BYTES
        if inflater.eof:
            self._begin_member(inflater.unused_data)
        else:
            self._input = inflater.unconsumed_tail
        return data

    def _begin_member(self, rest: bytes) -> None:
        self._is_full = False
        rest = rest.lstrip(b"\0")
        while len(rest) < len(GZIP_MAGIC) and (more := self._source.read(_INPUT_BYTES)):
            rest = (rest + more).lstrip(b"\0")
        self._input, self._inflater = rest, None
        if not rest:
            return
        if rest[: len(GZIP_MAGIC)] != GZIP_MAGIC:
            raise ArchiveError("it has something after its end that is no gzip", CheckRule.ARCHIVE_TRAILING)
        self._members += 1
        if self._members > _FREE_MEMBERS + self._made // _BYTES_OF_A_MEMBER:
            raise ArchiveError(
                f"it should be one gzip file, got {self._members} in a row", CheckRule.ARCHIVE_MEMBERS
            )
        self._inflater = _codec.decompressobj(_GZIP_WINDOW_BITS)
