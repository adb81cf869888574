"""What a check of preflight found."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a finding means for the deployment."""

    OK = "ok"
    ERROR = "error"
    """The deployment would fail, or the endpoint would not serve."""
    WARNING = "warning"
    """It may fail. A person should look at it."""
    NOT_CHECKED = "not checked"
    """AWS gave no answer, such as for want of a permission."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding.

    check:
        The id of its check, such as `quota`.
    message:
        What is wrong and what was got; for OK what was found.
    remedy:
        The command that mends it.
    """

    check: str
    verdict: Verdict
    message: str
    remedy: str | None = None


@dataclass(frozen=True)
class Check:
    """Makes the findings of one check."""

    id: str

    def ok(self, message: str) -> Finding:
        """Return what was found."""
        return Finding(check=self.id, verdict=Verdict.OK, message=message)

    def error(self, message: str, remedy: str) -> Finding:
        """Return what makes the deployment fail."""
        return Finding(check=self.id, verdict=Verdict.ERROR, message=message, remedy=remedy)

    def warning(self, message: str, remedy: str) -> Finding:
        """Return what may make the deployment fail."""
        return Finding(check=self.id, verdict=Verdict.WARNING, message=message, remedy=remedy)

    def not_checked(self, reason: str) -> Finding:
        """Return why nothing is known."""
        return Finding(check=self.id, verdict=Verdict.NOT_CHECKED, message=reason)
