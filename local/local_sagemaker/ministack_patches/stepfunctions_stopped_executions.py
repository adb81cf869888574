"""A stopped execution stays stopped.

Fault of ministack: it retries a task that fails after StopExecution, and reports the task's end as a failure
of the execution. [V StopExecution] A function call in progress runs to its end, as on AWS.
"""

from contextvars import ContextVar
from typing import Any

from ministack.services import stepfunctions

from local_sagemaker.ministack_patches.internals import expect

_running: ContextVar[dict[str, Any] | None] = ContextVar("running execution", default=None)


def install() -> None:
    """Check before each retry whether the execution is stopped."""
    for name in ("_execute_task", "_find_matching_retrier", "_fail_execution"):
        expect(hasattr(stepfunctions, name), f"stepfunctions.{name} exists")
    task = stepfunctions._execute_task
    find, fail = stepfunctions._find_matching_retrier, stepfunctions._fail_execution

    def execute(state: dict[str, Any], given: Any, execution: dict[str, Any], context: Any) -> Any:
        before = _running.set(execution)
        try:
            return task(state, given, execution, context)
        finally:
            _running.reset(before)

    def find_unless_stopped(
        retriers: list[dict[str, Any]], error: str, counts: dict[int, int]
    ) -> tuple[dict[str, Any] | None, int]:
        execution = _running.get()
        if execution is not None and execution["status"] == "ABORTED":
            return None, -1
        found: tuple[dict[str, Any] | None, int] = find(retriers, error, counts)
        return found

    def fail_if_running(execution: dict[str, Any], error: str, cause: str) -> None:
        if execution["status"] == "RUNNING":
            fail(execution, error, cause)

    stepfunctions._execute_task = execute
    stepfunctions._find_matching_retrier = find_unless_stopped
    stepfunctions._fail_execution = fail_if_running
