"""Reads the entries of an untrusted archive one after the other, and makes the canonical tar of an adapter.

Python's `tarfile` is not safe for reading. It reads a header of any claimed size, searches it with
expressions of quadratic time (CVE-2024-6232), may loop for ever (CVE-2025-8194), and stops at the first block
of zeros without looking behind it. Which of these are fixed depends on the installed Python.

The formats are POSIX's ustar and pax, and GNU's long names
(https://www.gnu.org/software/tar/manual/html_node/Standard.html). The SHA-256 of the canonical tar is the
adapter's identity (docs/adr/0005-adapter-identity.md).
"""

import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from adapter_fleet.artifacts.archive import ArchiveError, ArchiveFault, truncated
from adapter_fleet.artifacts.decompressing_reader import MAX_BYTES, MAX_ENTRIES, DecompressingReader, Readable

BLOCK_BYTES = 512

_MAX_HEADER_BYTES = 1024 * 1024
_END = bytes(BLOCK_BYTES)
_OCTAL = re.compile(rb"[0-7]{0,12}")
_KINDS = {b"0": "file", b"\0": "file", b"7": "file", b"1": "link", b"2": "link", b"5": "folder"}
_WITHOUT_CONTENT = (b"3", b"4", b"6")
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK, _SPARSE = b"x", b"g", b"L", b"K", b"S"
_USTAR = b"ustar\0"


@dataclass(frozen=True, kw_only=True)
class ArchiveEntry:
    """One entry of an archive.

    kind:
        "file", "folder", "link" or "special file".
    stream:
        The content of a file; None for any other kind.
    header:
        The bytes of the tar before the content.
    """

    name: str
    kind: str
    size: int
    stream: Readable | None
    header: bytes


def entries(source: Readable, *, watch: Callable[[bytes], object] | None = None) -> Iterator[ArchiveEntry]:
    """Yield the entries of a gzipped tar, in one pass to its last byte.

    Read an entry's stream before you ask for the next entry. A leading `./` is dropped from names, and the
    entry of the root is left out, as `tar -C directory .` writes both. `watch` gets every byte of the tar.
    Raises ArchiveError for an archive that cannot be read or exceeds the limits.
    """
    reader = DecompressingReader(source, watch=watch)
    headers = _HeaderReader(reader)
    while (entry := headers.next()) is not None:
        headers.entries += 1
        if headers.entries > MAX_ENTRIES:
            raise ArchiveError(f"it should have at most {MAX_ENTRIES} entries", ArchiveFault.TOO_MANY_ENTRIES)
        if entry.size > MAX_BYTES:
            raise ArchiveError(
                f"it should unpack to at most {MAX_BYTES} bytes, an entry claims {entry.size}",
                ArchiveFault.TOO_LARGE,
            )
        content = _EntryContent(reader, entry.size)
        if entry.kind != "folder" or entry.name not in ("", "."):
            yield replace(entry, stream=content) if entry.kind == "file" else entry
        reader.skip(content.left + -entry.size % BLOCK_BYTES)
    if not reader.ends_with_zeros():
        raise ArchiveError("it has something after the end of the tar", ArchiveFault.FORM)


class _EntryContent:
    """The content of one entry."""

    def __init__(self, reader: DecompressingReader, size: int) -> None:
        self._reader = reader
        self.left = size

    def read(self, size: int = -1) -> bytes:
        size = self.left if size < 0 else min(size, self.left)
        data = self._reader.read(size)
        if len(data) < size:
            raise truncated()
        self.left -= size
        return data


class _HeaderReader:
    def __init__(self, reader: DecompressingReader) -> None:
        self._reader = reader
        self._budget = _MAX_HEADER_BYTES
        self._global: dict[bytes, bytes] = {}
        self.entries = 0

    def next(self) -> ArchiveEntry | None:
        """Read the next entry up to its content; None at the end."""
        extended = dict(self._global)
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
                if kind == _SPARSE or any(key.startswith(b"GNU.sparse.") for key in extended):
                    raise ArchiveError("it should have no sparse files", ArchiveFault.FORM)
                return self._entry(block, kind, size, extended, header)
            content = self._content(size)
            header += content
            if kind == _LONG_NAME:
                extended[b"path"] = content.split(b"\0", 1)[0]
            elif kind != _LONG_LINK:
                records = self._records(content[:size])
                extended |= records
                if kind == _PAX_GLOBAL:
                    self._global |= records

    def _entry(
        self, block: bytes, kind: bytes, size: int, extended: dict[bytes, bytes], header: bytes
    ) -> ArchiveEntry:
        name = block[:100].split(b"\0", 1)[0]
        if block[257:263] == _USTAR and (prefix := block[345:500].split(b"\0", 1)[0]):
            name = prefix + b"/" + name
        name = extended.get(b"path", name)
        if b"size" in extended:
            if not extended[b"size"].isdigit() or len(extended[b"size"]) > 20:
                raise self._unreadable("a size that is no number")
            size = int(extended[b"size"])
        what = _KINDS.get(kind, "special file")
        if what == "file" and name.endswith(b"/"):
            what = "folder"
        if what in ("link", "folder") or kind in _WITHOUT_CONTENT:
            size = 0  # whatever the header claims
        text = name.rstrip(b"/").decode("utf-8", "surrogateescape") or "/"
        return ArchiveEntry(name=text.removeprefix("./"), kind=what, size=size, stream=None, header=header)

    def _check(self, block: bytes) -> None:
        if len(block) < BLOCK_BYTES:
            if self.entries:
                raise truncated()
            raise self._unreadable("it is too short")
        # The checksum field itself counts as spaces. Some old programs summed signed bytes.
        checksum, plain = self._number(block[148:156]), sum(block[:148]) + 8 * 32 + sum(block[156:])
        signed = plain - 256 * sum(byte > 127 for byte in block[:148] + block[156:])
        if checksum not in (plain, signed):
            raise self._unreadable("a header's checksum is wrong")

    def _number(self, field: bytes) -> int:
        if field[0] == 0x80:
            return int.from_bytes(field[1:], "big")
        digits = field.strip(b" \0")
        if not _OCTAL.fullmatch(digits):
            raise self._unreadable("a header has a field that is no number")
        return int(digits or b"0", 8)

    def _content(self, size: int) -> bytes:
        """Read the content of an extended header, padding included."""
        content = self._read(_padded(size))
        if len(content) < _padded(size):
            raise truncated()
        return content

    def _read(self, size: int) -> bytes:
        self._budget -= size
        if self._budget < 0:
            raise ArchiveError(
                f"its headers should take at most {_MAX_HEADER_BYTES} bytes", ArchiveFault.FORM
            )
        return self._reader.read(size)

    def _records(self, content: bytes) -> dict[bytes, bytes]:
        """Parse pax records. Each has its length, a space, a key, "=", a value and a line end."""
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
        fault = ArchiveFault.DAMAGED if self.entries else ArchiveFault.NOT_GZIPPED_TAR
        return ArchiveError(f"it is no readable tar archive: {why}", fault)


def _padded(size: int) -> int:
    return size + -size % BLOCK_BYTES


def canonical_header(name: str, size: int) -> bytes:
    """Return the bytes of the canonical tar before the content of a file."""
    # A new TarInfo has no owner, the time 0 and the mode 0644. PAX equals USTAR for files up to 8 GiB.
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.PAX_FORMAT)


def canonical_padding(size: int) -> bytes:
    """Return the bytes of the canonical tar after the content of a file."""
    return bytes(-size % tarfile.BLOCKSIZE)


def canonical_end(sizes: list[int]) -> bytes:
    """Return the bytes of the canonical tar after files of these sizes."""
    blocks = 2 * tarfile.BLOCKSIZE
    total = sum(tarfile.BLOCKSIZE + size + -size % tarfile.BLOCKSIZE for size in sizes) + blocks
    return bytes(blocks + -total % tarfile.RECORDSIZE)


def canonical_size(names: tuple[str, ...], sizes: list[int]) -> int:
    """Return the size of the whole canonical tar in bytes."""
    files = sum(
        len(canonical_header(name, size)) + size + len(canonical_padding(size))
        for name, size in zip(names, sizes, strict=True)
    )
    return files + len(canonical_end(sizes))
