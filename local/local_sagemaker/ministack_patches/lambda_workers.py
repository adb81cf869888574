"""The worker processes of functions share their code, and end with the function or after some idle time.

Faults of ministack: each worker extracts and compiles its function's code anew. It keeps the workers of
functions that CloudFormation has deleted, and the first worker of every other function. Lambda ends idle
workers after some minutes [T] and lets a running invocation end [I].
"""

import hashlib
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from ministack.core import lambda_runtime
from ministack.core.concurrency import spawn_background
from ministack.core.responses import get_account_id, get_region
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from local_sagemaker.ministack_patches.internals import expect, expect_names

_TYPE = "AWS::Lambda::Function"
_POLL_SECONDS = 0.1
# How much longer than its function's timeout an invocation may take.
_GRACE_SECONDS = 5.0


def install() -> None:
    """Stop the workers of deleted functions, and workers idle for LAMBDA_WARM_TTL_SECONDS."""
    handlers = provisioners._RESOURCE_HANDLERS.get(_TYPE, {})
    expect("delete" in handlers, f"{_TYPE} has a delete handler")
    expect_names(lambda_runtime, "_workers", "_lock", "_LOCAL_WORKER_TTL", "kill_workers")
    expect(hasattr(lambda_svc, "reap_idle_workers"), "lambda_svc.reap_idle_workers stops idle workers")
    expect(lambda_runtime.zipfile is zipfile, "lambda_runtime extracts archives with zipfile")
    lambda_runtime.zipfile = SimpleNamespace(ZipFile=SharedArchive, BadZipFile=zipfile.BadZipFile)
    delete = handlers["delete"]

    def delete_with_workers(physical_id: str, properties: dict[str, Any]) -> None:
        delete(physical_id, properties)
        workers = take_workers(get_account_id(), get_region(), physical_id)
        if workers:
            spawn_background(stop_when_free, workers, thread_name="lambda-workers")

    handlers["delete"] = delete_with_workers
    lambda_svc.reap_idle_workers = stop_idle_workers


class SharedArchive(zipfile.ZipFile):
    """An archive that is extracted, and compiled by Python, once: further folders get links to it."""

    _extracted: ClassVar[dict[str, Path]] = {}
    _one_at_a_time: ClassVar[threading.Lock] = threading.Lock()

    def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:
        """Extract all members, or link to those of an earlier time."""
        del members, pwd  # ministack gives neither
        if any(name.startswith("node_modules/") for name in self.namelist()):
            super().extractall(path)  # ministack adds the packages of layers there
            return
        digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        with self._one_at_a_time:
            if digest not in self._extracted:
                folder = tempfile.mkdtemp(prefix="lambda-code-")
                super().extractall(folder)
                self._extracted[digest] = Path(folder)
        for entry in self._extracted[digest].iterdir():
            (Path(path) / entry.name).symlink_to(entry)


def take_workers(account: str, region: str, function: str) -> list[Any]:
    """Remove the workers of all versions of a function from their pools."""
    prefix = f"{account}:{region}:{function}:"
    with lambda_runtime._lock:
        keys = [key for key in lambda_runtime._workers if key.startswith(prefix)]
        return [worker for key in keys for worker in lambda_runtime._workers.pop(key)]


def stop_when_free(workers: list[Any]) -> None:
    """Stop workers, each after its running invocation or the function's timeout."""
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
    """Stop every idle worker and return their number."""
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
