"""Settings of a fleet are checked when they are made."""

import pytest

from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, FailureLimit


def test_share_of_deletions_is_a_setting() -> None:
    with pytest.raises(ValueError, match=r"'share' should be from 0 to 1, got 1\.5"):
        DeletionLimit(share=1.5)


@pytest.mark.parametrize("percent", range(101))
def test_share_of_a_hundred_is_its_percentage(percent: int) -> None:
    assert DeletionLimit(share=percent / 100).allowed(100) == percent
    assert FailureLimit(share=percent / 100).allowed(100) == percent
