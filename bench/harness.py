"""What every bench does with its figures: a table to read, a file of results, and the tables in README.md."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

BENCH = Path(__file__).parent
RESULTS = BENCH / "results.json"
README = BENCH / "README.md"

_COLUMNS = ("claim", "ours", "other", "ratio", "goal", "holds")
_TABLES = "<!-- Below: written by the last run. -->"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim with both sides, measured in the same run."""

    claim: str
    ours: float
    other: float
    ratio: float
    goal: str
    holds: bool

    @classmethod
    def at_least(cls, times: float, claim: str, *, ours: float, other: float) -> "Claim":
        """The other takes at least `times` as much as ours."""
        ratio = other / ours
        return cls(
            claim=claim, ours=ours, other=other, ratio=ratio, goal=f"at least {times:g}", holds=ratio >= times
        )

    @classmethod
    def at_most(cls, times: float, claim: str, *, ours: float, other: float) -> "Claim":
        """Ours takes at most `times` as much as the other."""
        ratio = ours / other
        return cls(
            claim=claim, ours=ours, other=other, ratio=ratio, goal=f"at most {times:g}", holds=ratio <= times
        )

    def cells(self) -> tuple[str, ...]:
        numbers = (
            f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"
            for number in (self.ours, self.other, self.ratio)
        )
        return self.claim, *numbers, self.goal, "yes" if self.holds else "no"


Figures = Sequence[Mapping[str, str]]
"""Further rows to read, each of the same columns."""


def publish(bench: str, claims: Sequence[Claim], *, figures: Figures = ()) -> int:
    """Print the claims and the figures behind them, write its part of `results.json`, renew README.md.

    Returns 0, or 1 where a claim does not hold, for `sys.exit`.
    """
    results = json.loads(RESULTS.read_text())
    results[bench] = {"claims": [asdict(claim) for claim in claims], "figures": list(figures)}
    results = dict(sorted(results.items()))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    table = Table(*_COLUMNS, title=bench, title_justify="left")
    for claim in claims:
        table.add_row(*claim.cells(), style=None if claim.holds else "bold red")
    Console().print(table)
    if figures:
        rows = Table(*figures[0], title=bench, title_justify="left")
        for row in figures:
            rows.add_row(*row.values())
        Console().print(rows)
    _renew_readme(results)
    return 0 if all(claim.holds for claim in claims) else 1


def _renew_readme(results: Mapping[str, Mapping[str, Any]]) -> None:
    introduction = README.read_text().partition(_TABLES)[0]
    lines = [
        f"{_TABLES}",
        "",
        f"On {os.cpu_count()} processors, {platform.platform()}, Python {platform.python_version()}.",
    ]
    for bench, result in results.items():
        lines += ["", f"### {bench}", "", f"| {' | '.join(_COLUMNS)} |", "|---|--:|--:|--:|--:|---|"]
        lines += [f"| {' | '.join(Claim(**row).cells())} |" for row in result["claims"]]
        if result["figures"]:
            columns = list(result["figures"][0])
            lines += ["", f"| {' | '.join(columns)} |", f"|---|{'--:|' * (len(columns) - 1)}"]
            lines += [f"| {' | '.join(row.values())} |" for row in result["figures"]]
    README.write_text(introduction + "\n".join(lines) + "\n")
