"""What a check found: one finding for each broken rule, so that a user sees all of them at once."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The service or the container would refuse it, or serve something else than was meant."""
    WARNING = "warning"
    """It may work, and a person should look."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One broken rule.

    `rule` is a stable identifier (`lora-rank`), `where` the file or directory, and `message` says what was
    expected and what was got.
    """

    rule: str
    severity: Severity
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.rule}]"
