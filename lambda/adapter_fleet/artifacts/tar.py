"""The entries of a tar that a stranger made, one after the other.

`tarfile` reads a header at the size that it claims, searches it with expressions that take the square of its
length (CVE-2024-6232), may go round in circles (CVE-2025-8194), and stops at the first block of zeros without
a look at what is behind it. Which of that is mended depends on the Python that is installed.

The formats are POSIX's ustar and pax, and GNU's long names and sparse files
(https://www.gnu.org/software/tar/manual/html_node/Standard.html).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from adapter_fleet.artifacts.archive_error import ArchiveError, ArchiveFault, truncated
from adapter_fleet.artifacts.decompressing_reader import ArchiveLimits, DecompressingReader

BLOCK_BYTES = 512

_MAX_HEADER_BYTES = 1024 * 1024
_END = bytes(BLOCK_BYTES)
_OCTAL = re.compile(rb"[0-7]{0,12}")
_KINDS = {b"0": "file", b"\0": "file", b"7": "file", b"1": "link", b"2": "link", b"5": "folder"}
_WITHOUT_CONTENT = (b"3", b"4", b"6")
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK, _SPARSE = b"x", b"g", b"L", b"K", b"S"
_USTAR = b"ustar\0"


@dataclass(frozen=True, kw_only=True)
class TarEntry:
    """What comes before the content of an entry: its name, what it is in words, its size in bytes.

    header:
        The very bytes that said so.
    """

    name: str
    kind: str
    size: int
    header: bytes


def tar_entries(reader: DecompressingReader, limits: ArchiveLimits) -> Iterator[TarEntry]:
    """Walk through a tar to its end; the content is to be read, or skipped, before the next is asked for.

    Raises ArchiveError where it is no tar, or not within the limits.
    """
    headers = _Headers(reader)
    while (entry := headers.next()) is not None:
        headers.entries += 1
        if headers.entries > limits.entries:
            raise ArchiveError(
                f"it should have at most {limits.entries} entries", ArchiveFault.TOO_MANY_ENTRIES
            )
        if entry.size > limits.bytes:
            raise ArchiveError(
                f"it should unpack to at most {limits.bytes} bytes, an entry claims {entry.size}",
                ArchiveFault.TOO_LARGE,
            )
        yield entry
    if not reader.ends_with_zeros():
        raise ArchiveError("it has something after the end of the tar", ArchiveFault.TRAILING_DATA)


class _Headers:
    def __init__(self, reader: DecompressingReader) -> None:
        self._reader = reader
        self._budget = _MAX_HEADER_BYTES
        self._global: dict[bytes, bytes] = {}
        self.entries = 0

    def next(self) -> TarEntry | None:
        """Read up to the content of the next entry; None at the end."""
        said = dict(self._global)
        header = b""
        while True:
            block = self._read(BLOCK_BYTES)
            if block == _END or (not block and self.entries):
                if header:
                    raise self._unreadable("it ends after a header of headers")
                return None
            header += block
            self._check(block)
            kind, size = block[156:157], self._number(block[124:136])
            if kind not in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
                if kind == _SPARSE:
                    header += self._map_of_sparse(block)
                return self._entry(block, kind, size, said, header)
            content = self._content(size)
            header += content
            if kind == _LONG_NAME:
                said[b"path"] = content.split(b"\0", 1)[0]
            elif kind != _LONG_LINK:
                records = self._records(content[:size])
                said |= records
                if kind == _PAX_GLOBAL:
                    self._global |= records

    def _map_of_sparse(self, block: bytes) -> bytes:
        """Read what follows GNU's header of a sparse file where it has many holes."""
        header = b""
        goes_on = block[482]
        while goes_on:
            more = self._content(BLOCK_BYTES)
            header, goes_on = header + more, more[504]
        return header

    def _entry(
        self, block: bytes, kind: bytes, size: int, said: dict[bytes, bytes], header: bytes
    ) -> TarEntry:
        name = block[:100].split(b"\0", 1)[0]
        if block[257:263] == _USTAR and (prefix := block[345:500].split(b"\0", 1)[0]):
            name = prefix + b"/" + name
        name = said.get(b"path", name)
        if b"size" in said:
            if not said[b"size"].isdigit() or len(said[b"size"]) > 20:
                raise self._unreadable("a size that is no number")
            size = int(said[b"size"])
        what = _KINDS.get(kind, "special file")
        if what == "file" and name.endswith(b"/"):
            what = "folder"
        if kind == _SPARSE or any(key.startswith(b"GNU.sparse.") for key in said):
            what = "sparse file"
        if what in ("link", "folder") or kind in _WITHOUT_CONTENT:
            size = 0  # whatever it says
        return TarEntry(
            name=name.rstrip(b"/").decode("utf-8", "surrogateescape") or "/",
            kind=what,
            size=size,
            header=header,
        )

    def _check(self, block: bytes) -> None:
        if len(block) < BLOCK_BYTES:
            if self.entries:
                raise truncated()
            raise self._unreadable("it is too short")
        # The checksum counts as spaces. Some programs of old took bytes for signed.
        said, plain = self._number(block[148:156]), sum(block[:148]) + 8 * 32 + sum(block[156:])
        signed = plain - 256 * sum(byte > 127 for byte in block[:148] + block[156:])
        if said not in (plain, signed):
            raise self._unreadable("a header's checksum is wrong")

    def _number(self, field: bytes) -> int:
        if field[0] == 0x80:
            return int.from_bytes(field[1:], "big")
        digits = field.strip(b" \0")
        if not _OCTAL.fullmatch(digits):
            raise self._unreadable("a header has a field that is no number")
        return int(digits or b"0", 8)

    def _content(self, size: int) -> bytes:
        """Read the content of a header of headers, with what it is padded with."""
        content = self._read(_padded(size))
        if len(content) < _padded(size):
            raise truncated()
        return content

    def _read(self, size: int) -> bytes:
        self._budget -= size
        if self._budget < 0:
            raise ArchiveError(
                f"its headers should take at most {_MAX_HEADER_BYTES} bytes", ArchiveFault.HEADERS_TOO_LARGE
            )
        return self._reader.read(size)

    def _records(self, content: bytes) -> dict[bytes, bytes]:
        """Parse pax records, each of its length, a space, a key, =, a value and a line end."""
        records = {}
        begin = 0
        while begin < len(content):
            space = content.find(b" ", begin, begin + 20)
            digits = content[begin : max(space, begin)]
            end = begin + (int(digits) if digits.isdigit() else 0)
            if not begin < space < end <= len(content) or content[end - 1 : end] != b"\n":
                raise self._unreadable("a pax header is malformed")
            key, is_record, value = content[space + 1 : end - 1].partition(b"=")
            if not is_record:
                raise self._unreadable("a pax header is malformed")
            records[key] = value
            begin = end
        return records

    def _unreadable(self, why: str) -> ArchiveError:
        fault = ArchiveFault.DAMAGED if self.entries else ArchiveFault.NOT_TAR
        return ArchiveError(f"it is no readable tar archive: {why}", fault)


def _padded(size: int) -> int:
    return size + -size % BLOCK_BYTES
