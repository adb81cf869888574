"""The processes of a function end with the function, and after some time without a request.

ministack keeps those of a function that CloudFormation has deleted, and the first of every other function,
until it ends. Lambda ends idle ones after some minutes [T], and lets a running invocation end [I].
"""

import time
from typing import Any

from ministack.core import lambda_runtime
from ministack.core.concurrency import spawn_background
from ministack.core.responses import get_account_id, get_region
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from local_sagemaker.ministack_patches.internals import expect

_TYPE = "AWS::Lambda::Function"
_POLL_SECONDS = 0.1
# What an invocation may take beyond its function's timeout.
_GRACE_SECONDS = 5.0


def install() -> None:
    """Stop the processes of deleted functions, and all that are idle for LAMBDA_WARM_TTL_SECONDS."""
    handlers = provisioners._RESOURCE_HANDLERS.get(_TYPE, {})
    expect("delete" in handlers, f"{_TYPE} has a delete handler")
    for name in ("_workers", "_lock", "_LOCAL_WORKER_TTL", "kill_workers"):
        expect(hasattr(lambda_runtime, name), f"lambda_runtime.{name} exists")
    expect(
        hasattr(lambda_svc, "reap_idle_workers"), "lambda_svc.reap_idle_workers is called from time to time"
    )
    delete = handlers["delete"]

    def delete_with_workers(physical_id: str, properties: dict[str, Any]) -> None:
        delete(physical_id, properties)
        workers = take_workers(get_account_id(), get_region(), physical_id)
        if workers:
            spawn_background(stop_when_free, workers, thread_name="lambda-workers")

    handlers["delete"] = delete_with_workers
    lambda_svc.reap_idle_workers = stop_idle_workers


def take_workers(account: str, region: str, function: str) -> list[Any]:
    """Take the workers of all versions of a function out of their pools."""
    prefix = f"{account}:{region}:{function}:"
    with lambda_runtime._lock:
        keys = [key for key in lambda_runtime._workers if key.startswith(prefix)]
        return [worker for key in keys for worker in lambda_runtime._workers.pop(key)]


def stop_when_free(workers: list[Any]) -> None:
    """Stop workers, each after the invocation that it is at, which ends within its function's timeout."""
    began = time.monotonic()
    while workers:
        waited = time.monotonic() - began
        free = [
            worker
            for worker in workers
            if not worker.in_use or waited > worker.config.get("Timeout", 3) + _GRACE_SECONDS
        ]
        lambda_runtime.kill_workers(free)
        workers = [worker for worker in workers if worker not in free]
        if workers:
            time.sleep(_POLL_SECONDS)


def stop_idle_workers() -> int:
    """Stop every worker that has had no invocation for some time, and return how many."""
    oldest = time.time() - lambda_runtime._LOCAL_WORKER_TTL
    idle = []
    with lambda_runtime._lock:
        for key, workers in list(lambda_runtime._workers.items()):
            idle += [worker for worker in workers if not worker.in_use and worker.last_used < oldest]
            kept = [worker for worker in workers if worker not in idle]
            if kept:
                lambda_runtime._workers[key] = kept
            else:
                del lambda_runtime._workers[key]
    lambda_runtime.kill_workers(idle)
    return len(idle)
