"""The guide to preflight has the checks that there are."""

from __future__ import annotations

import re
from pathlib import Path

from adapters_cli.preflight.preflight import CHECKS

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "preflight.md"


def test_table_of_checks_is_complete_and_in_order() -> None:
    table = GUIDE.read_text().partition("## The checks")[2].partition("## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == [
        "credentials",
        *(name for name, _ in CHECKS),
    ]
