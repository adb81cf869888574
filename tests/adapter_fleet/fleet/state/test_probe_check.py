"""How many requests a check takes, and with what chances it is wrong."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from adapter_fleet.fleet.state.probe_check import MAX_REQUESTS, ProbeCheck, requests_for
from adapter_fleet.manifest.desired import Artifact

GUIDE = Path(__file__).parents[4] / "docs/guides/fleets.md"


@cache
def chance_to_fail(copies: int, wrong_answers: float) -> float:
    """The exact chance that a check fails an adapter with this share of wrong answers."""
    first = 1 - (1 - wrong_answers) ** requests_for(copies)
    second = ProbeCheck(artifact=Artifact(uri="s3://b/a.tar.gz"), probe="x", copies=copies, suspected=True)
    undecided, failed = {0: 1.0}, 0.0  # by the number of wrong answers
    for asked in range(1, 1000):
        reached: dict[int, float] = {}
        for wrong, chance in undecided.items():
            for more, share in ((1, wrong_answers), (0, 1 - wrong_answers)):
                check = replace(second, wrong=wrong + more, right=asked - wrong - more)
                if check.is_wrong:
                    failed += chance * share
                elif not check.is_complete:
                    reached[wrong + more] = reached.get(wrong + more, 0.0) + chance * share
        undecided = {wrong: chance for wrong, chance in reached.items() if chance > 1e-12}
        if not undecided:
            break
    assert not undecided, "a series does not end"
    return first * failed


@pytest.mark.parametrize("copies", range(1, 12))
def test_wrong_copy_is_missed_with_less_than_one_percent(copies: int) -> None:
    assert 1 - chance_to_fail(copies, 1 / copies) < 0.01
    assert requests_for(copies) <= MAX_REQUESTS


@pytest.mark.parametrize("copies", [1, 2, 3, 8, 20])
def test_adapter_with_one_wrong_answer_of_a_hundred_fails_once_in_a_hundred_thousand_checks(
    copies: int,
) -> None:
    assert chance_to_fail(copies, 0.01) < 1e-5


@pytest.mark.slow
def test_guide_has_these_numbers() -> None:
    def row(title: str) -> list[str]:
        found = re.search(rf"^\| {title} \|(.+)\|$", GUIDE.read_text(), re.MULTILINE)
        assert found is not None
        return [cell.strip() for cell in found[1].split("|")]

    copies = [int(cell) for cell in row("copies of the base model")]
    assert row("requests for each adapter") == [str(requests_for(number)) for number in copies]
    missed = [1 - chance_to_fail(number, 1 / number) for number in copies]
    assert row("chance to miss one given copy that is wrong") == [f"{chance:.1%}" for chance in missed]
    alarms = [1e6 * chance_to_fail(number, 0.01) for number in copies]
    assert row("healthy adapters that fail, of a million") == [f"{alarm:.1f}" for alarm in alarms]
