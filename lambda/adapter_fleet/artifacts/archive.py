"""The archive of an adapter: its files, and how to read an untrusted one."""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import IO, cast

from adapter_fleet.artifacts.archive_error import ArchiveError, ArchiveFault, truncated
from adapter_fleet.artifacts.decompressing_reader import DecompressingReader, Readable
from adapter_fleet.artifacts.tar import BLOCK_BYTES, tar_entries

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
README_FILE = "README.md"

DIGEST_METADATA = "adapter-digest"
"""The metadata key of an object in S3 under which `adapters publish` records the adapter's identity."""

REQUIRED_FILES = (CONFIG_FILE, WEIGHTS_FILE)
"""The files of an adapter, in the order of the canonical archive.

The configuration comes first, so that a check of the object in S3 finds it in the first bytes.
"""

ALLOWED_FILES = (*REQUIRED_FILES, README_FILE)
"""The files that a directory or an archive may hold.

The canonical archive leaves the README out: rewording it does not make another adapter.
"""


def belongs_to_adapter(name: str, kind: str, seen: Container[str]) -> bool:
    """Tell whether an entry is a file of an adapter, and the first of its name."""
    return kind == "file" and name in ALLOWED_FILES and name not in seen


@dataclass(frozen=True, kw_only=True)
class ArchiveEntry:
    """One entry of an archive.

    kind:
        "file", "folder", "link", "sparse file" or "special file".
    stream:
        The content of a file; None for any other kind.
    header:
        The bytes of the tar before the content.
    """

    name: str
    kind: str
    size: int
    stream: IO[bytes] | None
    header: bytes


def entries(
    source: Readable,
    *,
    gzip_only: bool = False,
    watch: Callable[[bytes], object] | None = None,
) -> Iterator[ArchiveEntry]:
    """Yield the entries of a tar, gzipped or not, in one pass to its last byte.

    Read an entry's stream before you ask for the next entry. A leading `./` is dropped from names, and the
    entry of the root is left out, as `tar -C directory .` writes both. `watch` gets every byte of the tar.
    Raises ArchiveError for an archive that cannot be read or exceeds the limits.
    """
    reader = DecompressingReader(source, watch=watch)
    if gzip_only and not reader.is_gzip:
        raise ArchiveError("it should be a gzipped tar archive (.tar.gz)", ArchiveFault.NOT_GZIPPED_TAR)
    for entry in tar_entries(reader):
        name = entry.name.removeprefix("./")
        content = _EntryContent(reader, entry.size)
        if entry.kind != "folder" or name not in ("", "."):
            # It has only the `read` of a file object. Readers of an archive need no more.
            stream = cast(IO[bytes], content) if entry.kind == "file" else None
            yield ArchiveEntry(
                name=name, kind=entry.kind, size=entry.size, stream=stream, header=entry.header
            )
        reader.skip(content.left + -entry.size % BLOCK_BYTES)


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
