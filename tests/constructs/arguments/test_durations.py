"""Durations in whole units. What takes one has a single case, to see that it asks."""

from __future__ import annotations

from collections.abc import Callable

import aws_cdk as cdk
import pytest

from multi_adapter_inference.arguments.durations import check_minutes, whole_milliseconds, whole_seconds

A_NUMBER = cdk.Token.as_number({"Ref": "Number"})


def test_whole_units_are_counted() -> None:
    assert whole_seconds("wait", cdk.Duration.minutes(2)) == 120
    assert whole_milliseconds("wait", cdk.Duration.seconds(2)) == 2000
    check_minutes("wait", cdk.Duration.minutes(1))
    check_minutes("wait", cdk.Duration.minutes(A_NUMBER))


@pytest.mark.parametrize(
    ("check", "duration", "message"),
    [
        (whole_seconds, cdk.Duration.millis(1500), "be whole seconds, got 1 second 500 millis"),
        (whole_seconds, cdk.Duration.seconds(A_NUMBER), "be known at synth, got a token"),
        (whole_milliseconds, cdk.Duration.seconds(0), "be above 0, got 0 seconds"),
        (whole_milliseconds, cdk.Duration.seconds(A_NUMBER), "be known at synth, got a token"),
        (check_minutes, cdk.Duration.seconds(30), "be at least a minute, got 30 seconds"),
        (check_minutes, cdk.Duration.seconds(90), "be whole minutes, got 1 minute 30 seconds"),
        (check_minutes, cdk.Duration.seconds(A_NUMBER), "be whole minutes, got a token of seconds"),
    ],
    # The text of a Duration has its address, which differs between the processes of a run.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_durations_are_errors(
    check: Callable[[str, cdk.Duration], object], duration: cdk.Duration, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^'wait' should {message}$"):
        check("wait", duration)
