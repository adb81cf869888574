"""Tests that `make nightly` alone runs."""

import os

import pytest

NIGHTLY = os.environ.get("NIGHTLY") == "1"

scaled_time = pytest.mark.skipif(
    not NIGHTLY,
    reason="it waits for alarms in scaled time, which a busy machine does not keep up with: `make nightly`",
)
"""For a test whose minutes last a second, and whose load and alarms have to keep up with that."""


def stories(by_day: int) -> int:
    """How many examples a random test tries: so many by day, and `STORIES` of them at night."""
    return int(os.environ.get("STORIES", "5000")) if NIGHTLY else by_day


long = pytest.mark.skipif(not NIGHTLY, reason="it takes longer than `make test` has time for: `make nightly`")
