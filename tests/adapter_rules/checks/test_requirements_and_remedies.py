"""The page on the rules says what each rule asks for. To write it anew:

python -m tests.adapter_rules.checks.test_requirements_and_remedies
"""

import re
from pathlib import Path

from adapter_fleet.artifacts.archive import ArchiveFault
from adapter_fleet.common.findings import Severity
from adapter_rules.checks.requirements_and_remedies import RULES, CheckRule

PAGE = Path(__file__).parents[3] / "docs" / "guides" / "check-rules.md"
BEGIN = "<!-- Below: written by tests/adapter_rules/checks/test_requirements_and_remedies.py. -->\n"


def rules() -> str:
    return "".join(f"- `{rule.id}`{_severity(rule)}: {rule.requirement}\n" for rule in CheckRule)


def _severity(rule: CheckRule) -> str:
    return "" if rule.severity is Severity.ERROR else f" ({rule.severity})"


def test_page_has_every_rule_as_it_is() -> None:
    assert PAGE.read_text().partition(BEGIN)[2].strip() == rules().strip()


def test_identifiers_are_words_and_tell_rules_apart() -> None:
    assert len(RULES) == len(CheckRule)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.id) for rule in CheckRule)


def test_every_fault_of_an_archive_breaks_a_rule() -> None:
    assert {fault.value for fault in ArchiveFault} <= set(RULES)


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(BEGIN)[0] + BEGIN + "\n" + rules())
