from __future__ import annotations

import pytest

from adapters_cli.load.latency_requirement import LatencyRequirement
from adapters_cli.load.latency_statistics import Ratio


def judged(
    text: str, figure: float | None, base: float | None, *, comparable: bool = True
) -> tuple[bool, str]:
    outcome = LatencyRequirement.parse(text).judge(figure, base, level="1 at once", comparable=comparable)
    return outcome.met, outcome.reason


@pytest.mark.parametrize(
    ("text", "figure", "met"),
    [
        ("request_latency.p50 <= base * 1.10", 11.0, True),
        ("request_latency.p50 <= base * 1.10", 11.1, False),
        ("request_latency.p50<=base+10%", 11.0, True),
        ("request_latency.p50 <= base + 10%", 11.1, False),
        ("output_token_throughput >= base - 10%", 9.0, True),
        ("output_token_throughput >= base - 10%", 8.9, False),
        ("request_error_rate <= 1%", 1.0, True),
        ("request_error_rate <= 1", 1.1, False),
        ("time_to_first_token.p99 < base", 10.0, False),
        ("request_throughput > 20", 10.0, False),
    ],
)
def test_figure_is_held_against_a_number_or_the_base_s_figure_of_10(
    text: str, figure: float, met: bool
) -> None:
    assert judged(text, figure, 10.0)[0] is met


@pytest.mark.parametrize(
    ("figure", "base", "comparable", "reason"),
    [
        (12.0, 10.0, True, "request_latency.p50 is 12, 1.200 times the base's 10"),
        (
            1.0,
            10.0,
            False,
            "base and adapters wrote answers of different lengths, so their times do not compare",
        ),
        (None, 1.0, True, "request_latency.p50 was not measured"),
        (1.0, None, True, "request_latency.p50 of the base was not measured"),
    ],
)
def test_reason_has_both_figures_or_what_keeps_them_from_being_compared(
    figure: float | None, base: float | None, comparable: bool, reason: str
) -> None:
    assert judged("request_latency.p50 <= base * 1.10", figure, base, comparable=comparable) == (
        False,
        reason,
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("request_latency.p50 <= base + 10", "a requirement should be like"),
        ("request_latency.p50 <= 10%", "a requirement should be like 'request_latency.p50 <= base \\* 1.10'"),
        ("request_latenci.p50 <= base", "should be one of .*, got 'request_latenci'; did you mean"),
        ("request_latency.p51 <= base", "a requirement's statistic should be one of avg, "),
        ("request_throughput.p50 >= 3", "a requirement's statistic should be one of avg, got 'p50'"),
    ],
)
def test_text_that_is_no_requirement_is_refused_with_what_is(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        LatencyRequirement.parse(text)


@pytest.mark.parametrize(("value", "met"), [(1.05, True), (1.2, False)])
def test_ratio_of_the_rounds_counts_more_than_the_figures_of_the_whole(value: float, met: bool) -> None:
    rule = LatencyRequirement.parse("request_latency.p50 <= base * 1.10")
    ratio = Ratio(value=value, low=1.0, high=1.3)
    outcome = rule.judge(11.5, 10.0, level="1 at once", comparable=True, ratio=ratio)
    assert outcome.met is met
    assert f"{value:.3f} times the base's, 95 % interval 1.000 to 1.300" in outcome.reason
    of_others = LatencyRequirement.parse("request_latency.p99 <= base * 1.10")
    assert not of_others.judge(11.5, 10.0, level="1 at once", comparable=True, ratio=ratio).met
