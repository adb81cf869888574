"""The retries of a state machine wait no longer than their MaxDelaySeconds.

Fault of ministack: it knows only IntervalSeconds and BackoffRate, and fails to compute the wait after a
thousand retries. Its limit of a minute for each wait stays.
"""

from typing import Any

from ministack.services import stepfunctions

from local_sagemaker.ministack_patches.internals import replaces

_MINUTE = 60.0


def install() -> None:
    """Give ministack the wait before the next retry as an interval without backoff."""

    @replaces(stepfunctions, "_find_matching_retrier")
    def find_with_delay(
        find: Any, retriers: list[dict[str, Any]], error: str, counts: dict[int, int]
    ) -> tuple[dict[str, Any] | None, int]:
        retrier, index = find(retriers, error, counts)
        if retrier is None:
            return None, index
        return retrier | {"IntervalSeconds": delay(retrier, counts.get(index, 0)), "BackoffRate": 1.0}, index


def delay(retrier: dict[str, Any], count: int) -> float:
    """Seconds before the next retry after `count` retries."""
    longest = float(retrier.get("MaxDelaySeconds", _MINUTE))
    try:
        seconds = float(retrier.get("IntervalSeconds", 1)) * float(retrier.get("BackoffRate", 2.0)) ** count
    except OverflowError:
        return longest
    return min(seconds, longest)
