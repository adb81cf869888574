"""How long until the next pass."""

import pytest

from adapter_fleet.fleet.planning.waits import (
    seconds_after_trouble,
    seconds_until_copies,
    time_of_retries,
    wait_seconds,
)

NOW = 1000.0


@pytest.mark.parametrize(
    ("times", "seconds"),
    [([], None), ([NOW - 5], 1), ([NOW + 1.9], 1), ([NOW + 90.9, NOW + 20.9], 20), ([NOW + 5000], 900)],
)
def test_wait_is_of_whole_seconds_up_to_a_quarter_of_an_hour(times: list[float], seconds: int | None) -> None:
    assert wait_seconds(times, NOW) == seconds


@pytest.mark.parametrize(("lasted", "seconds"), [(0, 15), (150, 15), (1000, 100), (3000, 300), (9000, 300)])
def test_trouble_is_looked_at_less_often_the_longer_it_lasts(lasted: float, seconds: float) -> None:
    assert seconds_after_trouble(lasted) == seconds


@pytest.mark.parametrize(("lasted", "seconds"), [(0, 60), (600, 60), (3000, 300), (20_000, 900)])
def test_copies_are_looked_for_less_often_the_longer_there_are_none(lasted: float, seconds: float) -> None:
    assert seconds_until_copies(lasted) == seconds


@pytest.mark.parametrize(("together", "time"), [(False, NOW + 10), (True, NOW + 20)])
def test_one_pass_is_for_all_retries_that_come_soon(together: bool, time: float) -> None:
    retries = [NOW + 20.1, NOW + 10, NOW + 20]
    assert time_of_retries(retries, NOW, together=together) == time


def test_retry_that_is_overdue_does_not_wait_for_others() -> None:
    assert time_of_retries([NOW - 10, NOW - 5], NOW, together=True) == NOW - 10
