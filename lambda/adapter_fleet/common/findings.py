"""What a check found: one finding for each broken rule, so that a user sees all of them at once."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

_MOST_OF_A_RULE = 5


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The service or the container would refuse it, or serve something else than was meant."""
    WARNING = "warning"
    """It may work, and a person should look."""
    NOT_COMPARED = "not-compared"
    """Nothing is known to be wrong, but some or all of it could not be compared with the base model."""


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

    @classmethod
    def error(cls, rule: str, where: str, message: str) -> "Finding":
        """Make a finding that has to be mended."""
        return cls(rule=rule, severity=Severity.ERROR, where=where, message=message)

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.rule}]"


def shortened(findings: Iterable[Finding]) -> list[Finding]:
    """Keep the first few findings of each rule, and count the rest.

    One mistake may show in a thousand tensors.
    """
    first: defaultdict[str, list[Finding]] = defaultdict(list)
    count: Counter[str] = Counter()
    for finding in findings:
        count[finding.rule] += 1
        if count[finding.rule] <= _MOST_OF_A_RULE + 1:  # the last of them stands for the rest
            first[finding.rule].append(finding)
    kept = []
    for rule, of_rule in first.items():
        kept += of_rule[:_MOST_OF_A_RULE]
        if (more := count[rule] - _MOST_OF_A_RULE) > 0:
            kept.append(replace(of_rule[-1], message=f"and {more} more of this kind"))
    return kept
