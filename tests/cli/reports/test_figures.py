"""Figures as reports write them."""

import pytest

from adapters_cli.evaluation.result import Interval
from adapters_cli.reports import figures

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.3126, "+0.313"),
        (-0.02, f"{MINUS}0.020"),
        (0, "0.000"),
        (-0.0001, "0.000"),
        (0.0001, "0.000"),
        (41.55, "+41.5"),
    ],
)
def test_a_gain_has_a_sign_unless_it_rounds_to_zero(value: float, text: str) -> None:
    assert figures.gain(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.234, "+123 %"), (0.0512, "+5.1 %"), (-0.5, f"{MINUS}50 %"), (0, "0.0 %"), (14.72, "+1,472 %")],
)
def test_a_relative_gain_is_in_per_cent(share: float, text: str) -> None:
    assert figures.percent(share).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "\N{EN DASH}"), (0.34, "340 ms"), (2.314, "2.31 s"), (0.0004, "400 µs")]
)
def test_a_duration_has_the_unit_that_suits_it(seconds: float | None, text: str) -> None:
    assert figures.seconds(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


def test_a_small_p_value_is_not_zero() -> None:
    assert figures.p_value(0.0001) == "< 0.001"
    assert figures.p_value(0.034) == "0.034"


def test_an_interval_has_both_ends() -> None:
    assert figures.gain_interval(Interval(low=-0.01, high=0.2)) == f"{MINUS}0.010 to +0.200"
