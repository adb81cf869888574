"""A stopped execution stays stopped, and so do the child executions of its distributed maps.

Fault of ministack: it starts the remaining children, retries those that fail, and reports the last child's
end as a failure of the execution. [V StopExecution, DescribeMapRun] Stopping an execution aborts its map runs
and their child executions. A function call in progress runs to its end, as on AWS.
"""

from contextvars import ContextVar
from typing import Any

from ministack.services import stepfunctions

from local_sagemaker.ministack_patches.internals import expect

_STOPPED = "States.Aborted"

_running: ContextVar[dict[str, Any] | None] = ContextVar("running execution", default=None)


def install() -> None:
    """Check before each task, map and retry whether the execution is stopped."""
    for name in ("_execute_task", "_execute_map", "_find_matching_retrier", "_fail_execution", "_map_runs"):
        expect(hasattr(stepfunctions, name), f"stepfunctions.{name} exists")
    task, map_ = stepfunctions._execute_task, stepfunctions._execute_map
    find, fail = stepfunctions._find_matching_retrier, stepfunctions._fail_execution

    def unless_stopped(execute: Any) -> Any:
        def execute_unless_stopped(
            state: dict[str, Any], given: Any, execution: dict[str, Any], context: Any
        ) -> Any:
            if is_stopped(execution):
                raise stepfunctions._ExecutionError(_STOPPED, "the execution was stopped")
            before = _running.set(execution)
            try:
                return execute(state, given, execution, context)
            finally:
                _running.reset(before)

        return execute_unless_stopped

    def find_unless_stopped(
        retriers: list[dict[str, Any]], error: str, counts: dict[int, int]
    ) -> tuple[dict[str, Any] | None, int]:
        execution = _running.get()
        if execution is not None and is_stopped(execution):
            return None, -1
        found: tuple[dict[str, Any] | None, int] = find(retriers, error, counts)
        return found

    def fail_if_running(execution: dict[str, Any], error: str, cause: str) -> None:
        if execution["status"] == "RUNNING":
            fail(execution, error, cause)

    stepfunctions._execute_task, stepfunctions._execute_map = unless_stopped(task), unless_stopped(map_)
    stepfunctions._find_matching_retrier = find_unless_stopped
    stepfunctions._fail_execution = fail_if_running


def is_stopped(execution: dict[str, Any] | None) -> bool:
    """Whether an execution is stopped, or the execution whose distributed map started it."""
    while execution is not None:
        if execution["status"] == "ABORTED":
            return True
        run = stepfunctions._map_runs.get(execution.get("mapRunArn", ""))
        execution = None if run is None else stepfunctions._executions.get(run["executionArn"])
    return False
