"""The page on the rules says what the table of rules does. To write it anew:

python -m tests.adapter_fleet.artifacts.checks.test_requirements_and_remedies
"""

from __future__ import annotations

import re
from pathlib import Path

from adapter_fleet.artifacts.archive import ArchiveFault
from adapter_fleet.artifacts.checks.requirements_and_remedies import RULES, CheckRule

PAGE = Path(__file__).parents[4] / "docs" / "guides" / "check-rules.md"
BEGIN = "<!-- Below: written by tests/adapter_fleet/artifacts/checks/test_requirements_and_remedies.py. -->\n"


def table() -> str:
    rows = [f"| `{rule.id}` | {rule.severity} | {rule.requirement} | {rule.help} |" for rule in CheckRule]
    return "\n".join(["| rule | severity | what it asks for | what to do |", "|---|---|---|---|", *rows, ""])


def test_page_has_every_rule_as_it_is() -> None:
    assert PAGE.read_text().partition(BEGIN)[2].strip() == table().strip()


def test_identifiers_are_words_and_tell_rules_apart() -> None:
    assert len(RULES) == len(CheckRule)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.id) for rule in CheckRule)


def test_every_fault_of_an_archive_breaks_a_rule() -> None:
    assert {fault.value for fault in ArchiveFault} <= set(RULES)


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(BEGIN)[0] + BEGIN + "\n" + table())
