"""The files of an adapter, and of its archive, and why an archive cannot be read.

The fleet's Lambda function imports this module and not the rules, so a change of a rule leaves it as it is.
"""

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
