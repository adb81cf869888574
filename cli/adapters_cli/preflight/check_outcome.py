"""What a check of preflight found."""

from dataclasses import dataclass
from enum import StrEnum


class CheckVerdict(StrEnum):
    """What a finding means for the deployment."""

    OK = "ok"
    ERROR = "error"
    """The deployment would fail, or the endpoint would not serve."""
    WARNING = "warning"
    """It may fail. A person should look at it."""
    NOT_CHECKED = "not checked"
    """AWS gave no answer, such as for want of a permission."""


@dataclass(frozen=True, kw_only=True)
class CheckOutcome:
    """One finding.

    check:
        The id of its check, such as `quota`.
    message:
        What is wrong and what was got; for OK what was found.
    remedy:
        The command to run next: it mends this, or shows what to choose from. None if no command does.
    """

    check: str
    verdict: CheckVerdict
    message: str
    remedy: str | None = None


@dataclass(frozen=True)
class Check:
    """Makes the findings of one check."""

    id: str

    def ok(self, message: str) -> CheckOutcome:
        """Return what was found."""
        return CheckOutcome(check=self.id, verdict=CheckVerdict.OK, message=message)

    def error(self, message: str, remedy: str | None = None) -> CheckOutcome:
        """Return what makes the deployment fail."""
        return CheckOutcome(check=self.id, verdict=CheckVerdict.ERROR, message=message, remedy=remedy)

    def warning(self, message: str, remedy: str | None = None) -> CheckOutcome:
        """Return what may make the deployment fail."""
        return CheckOutcome(check=self.id, verdict=CheckVerdict.WARNING, message=message, remedy=remedy)

    def not_checked(self, reason: str) -> CheckOutcome:
        """Return why nothing is known."""
        return CheckOutcome(check=self.id, verdict=CheckVerdict.NOT_CHECKED, message=reason)
