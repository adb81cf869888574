"""The exit codes have one home, and the guide has each of them."""

from __future__ import annotations

import re
from pathlib import Path

from adapters_cli.output import exit_codes

GUIDE = Path(__file__).parents[3] / "docs/guides/operating.md"


def test_every_code_has_a_meaning() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert codes == exit_codes.MEANINGS.keys()


def test_guide_has_every_code() -> None:
    _, _, table = GUIDE.read_text().partition("| exit code | |")
    first_cells = re.findall(r"^\| ([\d, ]+) \|", table.partition("\n\n")[0], flags=re.MULTILINE)
    assert {int(code) for cell in first_cells for code in cell.split(",")} == exit_codes.MEANINGS.keys()
