"""The files of an adapter, what can be wrong with its archive, and the canonical tar.

The SHA-256 of the canonical tar is the adapter's identity (docs/adr/0005-adapter-identity.md). The fleet's
Lambda function imports this module and not the rules, so a change of a rule leaves it as it is.
"""

import tarfile
from collections.abc import Container
from enum import StrEnum

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


class ArchiveFault(StrEnum):
    """What is wrong with an archive: the id of the rule in `CheckRule` that it breaks."""

    UNREADABLE = "path-readable"
    NOT_GZIPPED_TAR = "archive-gzip"
    FOREIGN = "file-content"
    DAMAGED = "archive-damaged"
    FORM = "archive-form"
    TOO_MANY_ENTRIES = "file-unexpected"
    TOO_LARGE = "archive-size"


class ArchiveError(ValueError):
    """The archive cannot be read, or exceeds the limits; `fault` says which."""

    def __init__(self, message: str, fault: ArchiveFault = ArchiveFault.UNREADABLE) -> None:
        super().__init__(message)
        self.fault = fault


def truncated() -> ArchiveError:
    """Return the error for an archive that ends too early."""
    return ArchiveError("it is truncated", ArchiveFault.DAMAGED)


def tar_header(name: str, size: int) -> bytes:
    """Return the bytes before the content of a file."""
    # A new TarInfo has no owner, the time 0 and the mode 0644. PAX equals USTAR for files up to 8 GiB.
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.PAX_FORMAT)


def tar_padding(size: int) -> bytes:
    """Return the bytes after the content of a file."""
    return bytes(-size % tarfile.BLOCKSIZE)


def tar_end(sizes: list[int]) -> bytes:
    """Return the bytes after files of these sizes."""
    blocks = 2 * tarfile.BLOCKSIZE
    total = sum(tarfile.BLOCKSIZE + size + -size % tarfile.BLOCKSIZE for size in sizes) + blocks
    return bytes(blocks + -total % tarfile.RECORDSIZE)


def tar_size(names: tuple[str, ...], sizes: list[int]) -> int:
    """Return the size of the whole tar in bytes."""
    files = sum(
        len(tar_header(name, size)) + size + len(tar_padding(size))
        for name, size in zip(names, sizes, strict=True)
    )
    return files + len(tar_end(sizes))
