"""When a pass looks again at a component whose write is under way."""

from __future__ import annotations

from adapter_fleet.fleet.reconcile.polling import Polling
from tests.adapter_fleet.fake_service import FakeClock


def test_component_that_is_due_does_not_wait_for_one_that_is_due_later() -> None:
    polling = Polling(FakeClock(), write_seconds={}, resumes=False)
    # In the order of the manifest, as after a listing.
    polling._look_at = {"p-a": 129.0, "p-b": 105.0}
    assert polling.next_times() == [105.0]
    assert list(polling.take_due(110.0)) == ["p-b"]
    assert polling.next_times() == [129.0]
