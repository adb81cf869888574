"""Packs an adapter into its archive for S3, and computes its identity.

The identity is the SHA-256 of the canonical uncompressed tar: configuration and weights, without an owner,
time or mode of their own (docs/adr/0005-adapter-identity.md). The gzip around it is transport. Its bytes are
reproducible on one kind of processor only.

This module needs a compiled library, so no Lambda function imports it.
"""

import hashlib
import os
import struct
import tempfile
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from isal import isal_zlib

from adapter_fleet.artifacts import canonical_tar
from adapter_fleet.artifacts.archive import CONFIG_FILE, REQUIRED_FILES
from adapter_fleet.artifacts.archive_error import ArchiveError
from adapter_fleet.artifacts.checks.config_check import MAX_CONFIG_BYTES
from adapter_fleet.artifacts.checks.file_check import problem_of_entry
from adapter_fleet.artifacts.tar import entries

_BLOCK_BYTES = 1024 * 1024
_SYNC_BYTES = 16 * 1024 * 1024
# ISA-L's level 1. Level 0 makes weights larger than they were; 2 and 3 are slower and no smaller.
_LEVEL = 1
_WINDOW_BITS = 9
_MEMORY_LEVEL = 9


@dataclass(frozen=True, kw_only=True)
class PackedAdapter:
    """An archive on disk, the identity of its adapter, and its size in bytes."""

    path: Path
    identity: str
    size: int


class AdapterFiles:
    """The two files of an adapter, held open, so that every operation reads the same files.

    Made by `of`. Raises OSError if a file grows or shrinks while it is read.
    """

    def __init__(self, where: str, files: Mapping[str, IO[bytes]]) -> None:
        self._where = where
        self._files = files

    @classmethod
    @contextmanager
    def of(cls, source: Path | IO[bytes], *, where: str | None = None) -> Iterator["AdapterFiles"]:
        """Open the adapter in a directory, or in a tar archive, gzipped or not, whoever made it.

        `where` names it in errors. Other files of a directory are ignored; `examine` reports them.
        The files of an archive are copied to files without a name, which disappear when they are closed or
        the process ends. Raises FileNotFoundError for a directory that lacks a file, and ArchiveError for an
        archive that cannot be read or holds anything but an adapter.
        """
        with ExitStack() as stack:
            where = where or (str(source) if isinstance(source, Path) else "archive")
            files: dict[str, IO[bytes]] = {}
            if isinstance(source, Path) and source.is_dir():
                for name in REQUIRED_FILES:
                    files[name] = stack.enter_context((source / name).open("rb", buffering=0))
            elif isinstance(source, Path):
                with source.open("rb") as archive:
                    files = _extracted(archive, stack, where)
            else:
                files = _extracted(source, stack, where)
            yield cls(where, files)

    @property
    def config(self) -> bytes:
        """The text of the configuration, cut at one byte more than its limit."""
        file = self._files[CONFIG_FILE]
        file.seek(0)
        return file.read(MAX_CONFIG_BYTES + 1)

    def identity(self) -> str:
        """Return the identity of the adapter, in hexadecimal."""
        sha = hashlib.sha256()
        for piece in self._canonical_tar():
            sha.update(piece)
        return sha.hexdigest()

    def write_archive(self, file: IO[bytes], *, durable: bool = False) -> str:
        """Write the archive to a file, and return the adapter's identity.

        The files are read once, and hashed and compressed at the same time. With `durable` the disk writes
        meanwhile, for a file that is synced at the end.
        """
        # glibc returns each freed block to the system until a larger one was freed (M_MMAP_THRESHOLD in
        # mallopt(3)). Without this line a quarter of the time goes to page faults.
        bytes(8 * _BLOCK_BYTES)
        sha = hashlib.sha256()
        with _GzipWriter(file, durable=durable) as gzip:
            for piece in self._canonical_tar():
                gzip.write(piece)
                sha.update(piece)
        return sha.hexdigest()

    def _canonical_tar(self) -> Iterator[bytes]:
        """Yield the canonical tar piece by piece: always the same pieces for the same content."""
        sizes = []
        for name in REQUIRED_FILES:
            file = self._files[name]
            file.seek(0)
            expected = os.fstat(file.fileno()).st_size
            yield canonical_tar.header(name, expected)
            size = 0
            while piece := file.read(_BLOCK_BYTES):
                yield piece
                size += len(piece)
            if size != expected:
                raise OSError(f"'{self._where}': {name} changed while it was read")
            yield canonical_tar.padding(size)
            sizes.append(size)
        yield canonical_tar.end(sizes)


def identity_of(source: Path | IO[bytes]) -> str:
    """Return the identity of the adapter in a directory or in a tar archive, in hexadecimal.

    Raises the errors of `AdapterFiles.of`.
    """
    with AdapterFiles.of(source) as files:
        return files.identity()


def pack(directory: Path, target: Path) -> PackedAdapter:
    """Write the archive of the adapter in `directory` to `target`, and return it with its identity.

    `target` appears complete and synced, or not at all. Raises FileNotFoundError like `identity`.
    """
    with AdapterFiles.of(directory) as files, _replacing(target) as file:
        made = files.write_archive(file, durable=True)
        size = file.tell()
    return PackedAdapter(path=target, identity=made, size=size)


def _extracted(archive: IO[bytes], stack: ExitStack, where: str) -> dict[str, IO[bytes]]:
    files: dict[str, IO[bytes]] = {}
    seen: set[str] = set()
    for entry in entries(archive):
        problem = problem_of_entry(entry.name, entry.kind, seen)
        if problem is not None or entry.stream is None:
            raise ArchiveError(
                f"'{where}' should be the archive of an adapter, got {entry.name!r}: {problem}"
            )
        seen.add(entry.name)
        if entry.name in REQUIRED_FILES:
            file = tempfile.TemporaryFile(prefix="adapter-")  # noqa: SIM115 - the stack closes it
            files[entry.name] = stack.enter_context(file)
            while piece := entry.stream.read(_BLOCK_BYTES):
                file.write(piece)
            file.flush()
    for name in REQUIRED_FILES:
        if name not in files:
            raise ArchiveError(f"'{where}' should be the archive of an adapter, got none with {name}")
    return files


@contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    """Open a file beside `target` that replaces it on success."""
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with partial.open("xb", buffering=0) as file:
            yield file
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


class _GzipWriter:
    """Compresses blocks in parallel into one gzip member, with ISA-L.

    isal's `igzip_threaded` does the same, but always looks for repetitions in the last 32 KiB. Weights hardly
    ever repeat: looking 512 bytes back takes half the time for the same size. Blocks are compressed
    independently, so the bytes do not depend on the number of threads.
    """

    _HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"  # deflate, no name, no time, unknown system
    _LAST_BLOCK = b"\x03\x00"  # an empty deflate block with the final bit

    def __init__(self, file: IO[bytes], *, durable: bool) -> None:
        self._file = file
        self._durable = durable
        # One more than the processors, as this thread sometimes waits for the disk.
        self._threads = (os.cpu_count() or 1) + 1
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="gzip")
        self._blocks: deque[Future[tuple[bytes, int, int]]] = deque()
        self._pending = bytearray()
        self._crc = 0
        self._size = 0
        file.write(self._HEADER)

    def __enter__(self) -> "_GzipWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._pool:
            if kind is None:
                self._flush()

    def write(self, data: bytes) -> None:
        if len(data) < _BLOCK_BYTES:
            self._pending += data
            if len(self._pending) < _BLOCK_BYTES:
                return
            data = b""
        self._submit_pending()
        if data:
            self._submit(data)

    def _submit_pending(self) -> None:
        if self._pending:
            self._submit(bytes(self._pending))
            self._pending.clear()

    def _submit(self, block: bytes) -> None:
        self._blocks.append(self._pool.submit(_deflate, block))
        # A queue of twice the threads keeps them busy while this thread hashes, and bounds the memory.
        while len(self._blocks) > 2 * self._threads:
            self._write_next()

    def _write_next(self) -> None:
        compressed, crc, size = self._blocks.popleft().result()
        self._file.write(compressed)
        self._crc = isal_zlib.crc32_combine(self._crc, crc, size)
        self._size += size
        # Sync now and then, so that little is left to sync at the end.
        if self._durable and self._size % _SYNC_BYTES < size:
            self._pool.submit(os.fsync, self._file.fileno())

    def _flush(self) -> None:
        self._submit_pending()
        while self._blocks:
            self._write_next()
        self._file.write(self._LAST_BLOCK + struct.pack("<II", self._crc, self._size % 2**32))


def _deflate(block: bytes) -> tuple[bytes, int, int]:
    """Compress one block to whole bytes; return them with checksum and size of the original."""
    # A negative window size means deflate without gzip's header and trailer.
    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -_WINDOW_BITS, _MEMORY_LEVEL)
    compressed = compressor.compress(block) + compressor.flush(isal_zlib.Z_SYNC_FLUSH)
    return compressed, isal_zlib.crc32(block), len(block)
