"""Why an archive cannot be read.

The fleet's Lambda function imports this module and not the rules, so a change of a rule leaves it as it is.
"""

from enum import StrEnum


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
