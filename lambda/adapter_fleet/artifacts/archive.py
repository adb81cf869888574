"""The archive of an adapter: which files, in which form, and how to read one that a stranger made."""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import IO, cast

from adapter_fleet.artifacts.archive_error import ArchiveError, ArchiveFault, truncated
from adapter_fleet.artifacts.decompressing_reader import ArchiveLimits, DecompressingReader, Readable
from adapter_fleet.artifacts.tar import BLOCK_BYTES, tar_entries

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
README_FILE = "README.md"

DIGEST_METADATA = "adapter-digest"
"""The metadata of an object in S3 in which `adapters publish` notes the adapter's identity, and by which the
fleet tells an archive that is another one than the manifest says."""

REQUIRED_FILES = (CONFIG_FILE, WEIGHTS_FILE)
"""What an adapter is, in the order of the canonical archive.

The configuration comes first, so that a reader of the object in S3 can check it from its first bytes.
"""

ALLOWED_FILES = (*REQUIRED_FILES, README_FILE)
"""All that a directory or an archive may hold. The canonical archive leaves the README out: rewording it
makes no other adapter.
"""


def belongs_to_adapter(name: str, kind: str, seen: Container[str]) -> bool:
    """Tell whether an entry is a file of an adapter, and the first of its name."""
    return kind == "file" and name in ALLOWED_FILES and name not in seen


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of an archive: `kind` says in words what it is, `stream` is None if it is not a file.

    header:
        The bytes of the tar before its content.
    """

    name: str
    kind: str
    size: int
    stream: IO[bytes] | None
    header: bytes


def entries(
    source: Readable,
    limits: ArchiveLimits,
    *,
    gzip_only: bool = False,
    watch: Callable[[bytes], object] | None = None,
) -> Iterator[Entry]:
    """Walk once and forwards through a tar, gzipped or not, to its last byte.

    Raises ArchiveError where it cannot be read or goes beyond `limits`. An entry's stream is to be read
    before the next entry is asked for. A leading `./` is dropped from the names, and the root itself left
    out, as `tar -C directory .` writes both. `watch` gets every byte of the tar.
    """
    reader = DecompressingReader(source, limits, watch=watch)
    if gzip_only and not reader.is_gzip:
        raise ArchiveError("it should be a gzipped tar archive (.tar.gz)", ArchiveFault.NOT_GZIP)
    for entry in tar_entries(reader, limits):
        name = entry.name.removeprefix("./")
        content = _Content(reader, entry.size)
        if entry.kind != "folder" or name not in ("", "."):
            # Of a file object it has `read` alone, which is all that readers of an archive ask for.
            stream = cast(IO[bytes], content) if entry.kind == "file" else None
            yield Entry(name=name, kind=entry.kind, size=entry.size, stream=stream, header=entry.header)
        reader.skip(content.left + -entry.size % BLOCK_BYTES)


class _Content:
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
