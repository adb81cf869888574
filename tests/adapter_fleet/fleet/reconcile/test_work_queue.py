"""What a pass has yet to do."""

from typing import Any

from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.reconcile.work_queue import WorkQueue


def test_component_that_may_not_be_read_is_not_deleted_at_the_end() -> None:
    unused: Any = None
    queue = WorkQueue(unused, 1, unused)
    queue.put("p-a", Decision(step=Step.HOLD))
    queue.leave_alone("p-a", Decision(step=Step.FAILED))
    assert not queue.held
