"""Log lines of a function belong to the invocation that wrote them, and none outlives its log group.

Faults of ministack: it takes the lines that have arrived some milliseconds after the answer. On a busy
machine, the others come with the next invocation, or never. And lines that come after the deletion of the
log group create it again. On AWS, that takes `logs:CreateLogGroup` [T], which no role of the CDK has.
"""

import queue
import time
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import cloudwatch_logs, lambda_svc

from local_sagemaker.ministack_patches.internals import expect, expect_names

_ANSWER = "        _real_stdout.flush()\n\nrun()"
_END = "\1end of the invocation"
_POLL_SECONDS = 0.05
# A child of a process that has ended may keep the pipe open.
_LONGEST_SECONDS = 5.0


def install() -> None:
    """Install both."""
    expect_names(lambda_runtime, "_PYTHON_WORKER_SCRIPT", "Worker")
    expect(
        hasattr(lambda_runtime.Worker, "_drain_stderr_bounded"), "Worker._drain_stderr_bounded takes lines"
    )
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    expect(script.count(_ANSWER) == 1, "_PYTHON_WORKER_SCRIPT ends with its loop")
    mark = f"        print({_END!r}, file=sys.stderr, flush=True)\n"
    lambda_runtime._PYTHON_WORKER_SCRIPT = script.replace(_ANSWER, mark + _ANSWER)
    drain = lambda_runtime.Worker._drain_stderr_bounded

    def drain_to_end(worker: Any) -> str:
        python = worker.config.get("Runtime", "").startswith("python")
        return lines_of_invocation(worker) if python else str(drain(worker))

    lambda_runtime.Worker._drain_stderr_bounded = drain_to_end
    _install_existing_groups()


def lines_of_invocation(worker: Any) -> str:
    """The lines up to the mark that the worker's script writes; fewer if its process has ended before."""
    lines: list[str] = []
    deadline = time.monotonic() + _LONGEST_SECONDS
    while not lines or not lines[-1].endswith(_END):
        ended = not worker._stderr_thread.is_alive() or time.monotonic() > deadline
        try:
            lines.append(worker._stderr_queue.get(timeout=_POLL_SECONDS))
        except queue.Empty:
            if ended:
                return "\n".join(lines)
    lines[-1] = lines[-1].removesuffix(_END)
    return "\n".join(lines).removesuffix("\n")


def _install_existing_groups() -> None:
    """Write to the log group of a `LoggingConfig` only while it exists."""
    expect(hasattr(lambda_svc, "_emit_lambda_logs"), "lambda_svc._emit_lambda_logs writes a handler's log")
    expect(hasattr(cloudwatch_logs, "_log_groups"), "cloudwatch_logs._log_groups has the log groups")
    emit = lambda_svc._emit_lambda_logs

    def emit_to_existing_group(function: Any, *arguments: Any, **source: Any) -> None:
        groups, config = cloudwatch_logs._log_groups, function.get("config") or function
        name = (config.get("LoggingConfig") or {}).get("LogGroup")
        there = groups.get(name)
        if name is None or there is not None:
            emit(function, *arguments, **source)
        if groups.get(name) is not there:  # CloudFormation has deleted it meanwhile, on another thread
            groups.pop(name, None)

    lambda_svc._emit_lambda_logs = emit_to_existing_group
