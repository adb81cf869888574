"""The result of a check: one finding for each broken rule, so that a user sees all of them at once."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

_MAX_PER_RULE = 5


class Severity(StrEnum):
    """The severity of a finding."""

    ERROR = "error"
    """The service or the container would refuse the adapter, or serve something else than intended."""
    WARNING = "warning"
    """The adapter may work. A person should look at it."""
    NOT_COMPARED = "not-compared"
    """No error is known, but parts of the adapter could not be compared with the base model."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One broken rule.

    rule:
        A stable id, such as `lora-rank`.
    where:
        The file or directory.
    message:
        What was expected, and what was got.
    """

    rule: str
    severity: Severity
    where: str
    message: str

    @classmethod
    def error(cls, rule: str, where: str, message: str) -> "Finding":
        """Return a finding of severity ERROR."""
        return cls(rule=rule, severity=Severity.ERROR, where=where, message=message)

    @classmethod
    def warning(cls, rule: str, where: str, message: str) -> "Finding":
        """Return a finding of severity WARNING."""
        return cls(rule=rule, severity=Severity.WARNING, where=where, message=message)

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.rule}]"


def shortened(findings: Iterable[Finding]) -> list[Finding]:
    """Keep the first few findings of each rule, and count the rest.

    One mistake may cause a finding for each of a thousand tensors.
    """
    first: defaultdict[str, list[Finding]] = defaultdict(list)
    count: Counter[str] = Counter()
    for finding in findings:
        count[finding.rule] += 1
        if count[finding.rule] <= _MAX_PER_RULE + 1:  # the last one gets the count of the rest
            first[finding.rule].append(finding)
    kept = []
    for rule, of_rule in first.items():
        kept += of_rule[:_MAX_PER_RULE]
        if (more := count[rule] - _MAX_PER_RULE) > 0:
            kept.append(replace(of_rule[-1], message=f"and {more} more of this kind"))
    return kept
