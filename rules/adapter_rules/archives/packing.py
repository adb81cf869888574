"""Packs an adapter into its archive for S3, and computes its identity.

The identity is the SHA-256 of the canonical uncompressed tar: configuration and weights, without an owner,
time or mode of their own (docs/adr/0005-adapter-identity.md). The gzip around it is transport. Its bytes may
differ from one processor to another, and were once seen to differ from run to run.

This module needs a compiled library, so no Lambda function imports it.
"""

import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from isal import igzip_threaded

from adapter_fleet.artifacts.archive import (
    CONFIG_FILE,
    REQUIRED_FILES,
    ArchiveError,
)
from adapter_fleet.artifacts.foreign_content import UTF8_MARK
from adapter_fleet.artifacts.tar import canonical_end, canonical_header, canonical_padding, entries
from adapter_rules.checks.config_check import MAX_CONFIG_BYTES
from adapter_rules.checks.file_check import problem_of_entry

_BLOCK_BYTES = 1024 * 1024
# ISA-L's level 1. Level 0 makes weights larger than they were; 2 and 3 are slower and no smaller.
_LEVEL = 1


@dataclass(frozen=True, kw_only=True)
class PackedAdapter:
    """An archive on disk, and the identity of its adapter."""

    path: Path
    identity: str


class AdapterFiles:
    """The two files of an adapter, held open, so that every operation reads the same files.

    Made by `of`. Raises OSError if a file grows or shrinks while it is read.
    """

    def __init__(self, where: str, files: Mapping[str, IO[bytes]]) -> None:
        self._where = where
        self._files = files

    @classmethod
    @contextmanager
    def of(cls, source: Path | IO[bytes]) -> Iterator["AdapterFiles"]:
        """Open the adapter in a directory, or in a gzipped tar of any origin.

        Other files of a directory are ignored; `examine` reports them. The files of an archive are copied to
        files without a name, which disappear when they are closed or the process ends. Raises
        FileNotFoundError for a directory that lacks a file, and ArchiveError for an archive that cannot be
        read or holds anything but an adapter.
        """
        with ExitStack() as stack:
            where = str(source) if isinstance(source, Path) else "archive"
            files: dict[str, IO[bytes]] = {}
            if isinstance(source, Path) and source.is_dir():
                for name in REQUIRED_FILES:
                    files[name] = stack.enter_context((source / name).open("rb", buffering=0))
                files[CONFIG_FILE] = _without_mark(files[CONFIG_FILE], stack)
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

    def write_archive(self, file: IO[bytes]) -> str:
        """Write the archive to a file, and return the adapter's identity.

        The files are read once, and hashed and compressed at the same time.
        """
        sha = hashlib.sha256()
        threads = os.cpu_count() or 1
        with igzip_threaded.open(file, "wb", _LEVEL, threads=threads) as gzip:  # type: ignore[no-untyped-call]
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
            yield canonical_header(name, expected)
            size = 0
            while piece := file.read(_BLOCK_BYTES):
                yield piece
                size += len(piece)
            if size != expected:
                raise OSError(f"'{self._where}': {name} changed while it was read")
            yield canonical_padding(size)
            sizes.append(size)
        yield canonical_end(sizes)


def identity_of(source: Path | IO[bytes]) -> str:
    """Return the identity of the adapter in a directory or in an archive, in hexadecimal.

    Raises the errors of `AdapterFiles.of`.
    """
    with AdapterFiles.of(source) as files:
        return files.identity()


def pack(directory: Path, target: Path) -> PackedAdapter:
    """Write the archive of the adapter in `directory` to `target`, and return it with its identity.

    `target` appears complete and synced, or not at all. Raises FileNotFoundError like `identity`.
    """
    with AdapterFiles.of(directory) as files, _replacing(target) as file:
        made = files.write_archive(file)
    return PackedAdapter(path=target, identity=made)


def _without_mark(config: IO[bytes], stack: ExitStack) -> IO[bytes]:
    """Return a configuration without a byte order mark, as the engine reads none."""
    if config.read(len(UTF8_MARK)) != UTF8_MARK:
        return config
    file = tempfile.TemporaryFile(prefix="adapter-", buffering=0)  # noqa: SIM115 - the stack closes it
    copy = stack.enter_context(file)
    copy.write(config.read(MAX_CONFIG_BYTES))
    return copy


def _extracted(archive: IO[bytes], stack: ExitStack, where: str) -> dict[str, IO[bytes]]:
    files: dict[str, IO[bytes]] = {}
    seen: set[str] = set()
    for entry in entries(archive):
        if (refusal := problem_of_entry(entry.name, entry.kind, seen)) is not None:
            _, problem = refusal
            raise ArchiveError(
                f"'{where}' should be the archive of an adapter, got {entry.name!r}: {problem}"
            )
        assert entry.stream is not None  # it is a file
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
