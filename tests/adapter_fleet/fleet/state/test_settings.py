"""Settings of a fleet are checked when they are made."""

import pytest

from adapter_fleet.fleet.state.settings import DeletionLimit


def test_share_of_deletions_is_a_setting() -> None:
    with pytest.raises(ValueError, match=r"'share' should be from 0 to 1, got 1\.5"):
        DeletionLimit(share=1.5)
