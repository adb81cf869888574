"""Causes of failures, the times of the next attempts, and how many failures and deletions are allowed."""

import pytest

from adapter_fleet.fleet.state.configuration import (
    DEPLOYMENT_ATTEMPTS,
    FIRST_RETRY_SECONDS,
    MAX_RETRY_SECONDS,
)
from adapter_fleet.fleet.state.failures import Cause, Failure, cause_of, next_failure
from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, FailureLimit
from adapter_fleet.manifest.desired import Artifact

ARTIFACT = Artifact(uri="s3://bucket/a.tar.gz")


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("Update operation is not supported", Cause.UPDATE_REFUSED),
        ("NoSuchKey: s3://bucket/a.tar.gz does not exist", Cause.ACCESS),
        ("ResourceLimitExceeded: The account-level service limit is 5", Cause.QUOTA),
        ("Rate exceeded", Cause.CAPACITY),
        ("something that nobody has seen before", Cause.ARTIFACT),
    ],
)
def test_cause_is_what_the_reason_means(reason: str, cause: Cause) -> None:
    assert cause_of(reason) is cause


def test_time_between_attempts_doubles_up_to_a_quarter_of_an_hour() -> None:
    failure, waits = None, []
    # The causes may take turns.
    for reason in ["AccessDenied", "Rate exceeded"] * 5:
        failure = next_failure("c", ARTIFACT, reason, before=failure, now=0.0, generation=1)
        assert failure.retry_at is not None
        waits.append(failure.retry_at)
    for attempt, wait in enumerate(waits):
        longest = min(FIRST_RETRY_SECONDS * 2**attempt, MAX_RETRY_SECONDS)
        assert longest / 2 <= wait <= longest


@pytest.mark.parametrize(
    ("attempts", "retry_at", "final"),
    [
        (DEPLOYMENT_ATTEMPTS - 1, 100.0, False),
        (DEPLOYMENT_ATTEMPTS, 100.0, True),
        (1, None, True),
    ],
)
def test_deployment_waits_for_a_few_attempts(attempts: int, retry_at: float | None, final: bool) -> None:
    failure = Failure(
        cause=Cause.ACCESS, reason="x", artifact=ARTIFACT, at=0.0, attempts=attempts, retry_at=retry_at
    )
    assert failure.final is final


def test_attempts_at_another_artifact_are_counted_anew() -> None:
    first = next_failure("c", ARTIFACT, "AccessDenied", before=None, now=0.0, generation=1)
    other = Artifact(uri="s3://bucket/b.tar.gz")
    assert next_failure("c", other, "AccessDenied", before=first, now=0.0, generation=1).attempts == 1


@pytest.mark.parametrize("attempts", [1024, 100_000])
def test_any_number_of_attempts_waits_at_most_the_maximum(attempts: int) -> None:
    before = Failure(cause=Cause.ACCESS, reason="x", artifact=ARTIFACT, at=0.0, attempts=attempts)
    failure = next_failure("p-a", ARTIFACT, "AccessDenied", before=before, now=0.0, generation=1)
    assert failure.attempts == attempts + 1
    assert failure.retry_at is not None
    assert MAX_RETRY_SECONDS / 2 <= failure.retry_at <= MAX_RETRY_SECONDS


def test_share_of_a_hundred_is_its_percentage() -> None:
    with pytest.raises(ValueError, match=r"'share' should be from 0 to 1, got 1\.5"):
        DeletionLimit(share=1.5)
    for percent in range(101):
        assert DeletionLimit(share=percent / 100).allowed(100) == percent
        assert FailureLimit(share=percent / 100).allowed(100) == percent
