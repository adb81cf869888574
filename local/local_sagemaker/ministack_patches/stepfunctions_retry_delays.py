"""The retries of a state machine wait no longer than their MaxDelaySeconds, as on AWS.

ministack knows IntervalSeconds and BackoffRate alone. It also waits a minute at most, which stays so, and
fails to compute the wait after a thousand retries.
"""

from typing import Any

from ministack.services import stepfunctions

from local_sagemaker.ministack_patches.internals import expect

_MINUTE = 60.0


def install() -> None:
    """Say the wait before the next retry as an interval without backoff."""
    expect(
        hasattr(stepfunctions, "_find_matching_retrier"),
        "stepfunctions._find_matching_retrier finds the retrier of an error",
    )
    find = stepfunctions._find_matching_retrier

    def find_with_delay(
        retriers: list[dict[str, Any]], error: str, counts: dict[int, int]
    ) -> tuple[dict[str, Any] | None, int]:
        retrier, index = find(retriers, error, counts)
        if retrier is None:
            return None, index
        return retrier | {"IntervalSeconds": delay(retrier, counts.get(index, 0)), "BackoffRate": 1.0}, index

    stepfunctions._find_matching_retrier = find_with_delay


def delay(retrier: dict[str, Any], count: int) -> float:
    """Seconds before the next retry when there have been `count`."""
    longest = float(retrier.get("MaxDelaySeconds", _MINUTE))
    seconds = float(retrier.get("IntervalSeconds", 1))
    for _ in range(count):
        if seconds >= longest:
            break
        grown = seconds * float(retrier.get("BackoffRate", 2.0))
        if grown == seconds:
            break
        seconds = grown
    return min(seconds, longest)
