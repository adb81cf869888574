"""Lambda functions: their worker processes, logs, errors, metrics and download URLs."""

import hashlib
import json
import os
import queue
import re
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

from ministack.core import lambda_runtime
from ministack.core.concurrency import spawn_background
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, cloudwatch_logs, lambda_svc
from ministack.services.cloudformation import provisioners

from local_sagemaker.http_guards import DownloadSigner
from local_sagemaker.ministack_patches.internals import expect, expect_names, replaces

# [V Lambda's guide, configuration-envvars] The first line is what Lambda sets, too. The others are how a
# function finds and trusts this cloud, its folder for files, and settings of `local_sagemaker.command`.
_FUNCTION_VARIABLES = (
    *("PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "NODE_PATH"),
    *(
        "GATEWAY_PORT",
        "SSL_CERT_FILE",
        "NODE_EXTRA_CA_CERTS",
        "TMPDIR",
        "PYTHONUNBUFFERED",
        "MALLOC_ARENA_MAX",
    ),
)
_STOP_POLL_SECONDS = 0.1
# How much longer than its function's timeout an invocation may take.
_GRACE_SECONDS = 5.0


def install_workers() -> None:
    """The worker processes of functions share their code, and end with the function or after some idle time.

    Faults of ministack: each worker extracts and compiles its function's code anew. It keeps the workers of
    functions that CloudFormation has deleted, and the first worker of every other function. Lambda ends idle
    workers after some minutes [T], here LAMBDA_WARM_TTL_SECONDS, and lets a running invocation end [I].
    """
    expect_names(lambda_runtime, "_workers", "_lock", "_LOCAL_WORKER_TTL", "kill_workers")
    expect_names(lambda_svc, "reap_idle_workers")
    expect(lambda_runtime.zipfile is zipfile, "lambda_runtime extracts archives with zipfile")
    lambda_runtime.zipfile = SimpleNamespace(ZipFile=SharedArchive, BadZipFile=zipfile.BadZipFile)

    @replaces(provisioners._RESOURCE_HANDLERS.get("AWS::Lambda::Function", {}), "delete")
    def delete_with_workers(delete: Any, physical_id: str, properties: dict[str, Any]) -> None:
        delete(physical_id, properties)
        workers = take_workers(get_account_id(), get_region(), physical_id)
        if workers:
            spawn_background(stop_when_free, workers, thread_name="lambda-workers")

    lambda_svc.reap_idle_workers = stop_idle_workers


def install_environment() -> None:
    """A function's environment has its own variables and what it needs to run.

    Fault of ministack: a function gets all variables of the developer who started the cloud, also secrets.
    """
    expect(lambda_runtime.os is os, "lambda_runtime reads os.environ")
    # The server's variables that begin with AWS_ are those of its clients.
    names = [name for name in os.environ if name in _FUNCTION_VARIABLES or name.startswith("AWS_")]
    given = {name: os.environ[name] for name in names}
    lambda_runtime.os = SimpleNamespace(**{**vars(os), "environ": given})


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
            time.sleep(_STOP_POLL_SECONDS)


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


_WORKER_ANSWER = "        _real_stdout.flush()\n\nrun()"
_END_MARK = "\1end of the invocation"
_LOG_POLL_SECONDS = 0.05
# A child of a process that has ended may keep the pipe open.
_LONGEST_LOG_SECONDS = 5.0


def install_logs() -> None:
    """Log lines of a function belong to the invocation that wrote them, and none outlives its log group.

    Faults of ministack: it takes the lines that have arrived some milliseconds after the answer. On a busy
    machine, the others come with the next invocation, or never. And lines that come after the deletion of the
    log group create it again. On AWS, that takes `logs:CreateLogGroup` [T], which no role of the CDK has.
    """
    expect_names(lambda_runtime, "_PYTHON_WORKER_SCRIPT", "Worker")
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    expect(script.count(_WORKER_ANSWER) == 1, "_PYTHON_WORKER_SCRIPT ends with its loop")
    mark = f"        print({_END_MARK!r}, file=sys.stderr, flush=True)\n"
    lambda_runtime._PYTHON_WORKER_SCRIPT = script.replace(_WORKER_ANSWER, mark + _WORKER_ANSWER)

    @replaces(lambda_runtime.Worker, "_drain_stderr_bounded")
    def drain_to_end(drain: Any, worker: Any) -> str:
        python = worker.config.get("Runtime", "").startswith("python")
        return lines_of_invocation(worker) if python else str(drain(worker))

    _install_existing_groups()


def lines_of_invocation(worker: Any) -> str:
    """The lines up to the mark that the worker's script writes; fewer if its process has ended before."""
    lines: list[str] = []
    deadline = time.monotonic() + _LONGEST_LOG_SECONDS
    while not lines or not lines[-1].endswith(_END_MARK):
        ended = not worker._stderr_thread.is_alive() or time.monotonic() > deadline
        try:
            lines.append(worker._stderr_queue.get(timeout=_LOG_POLL_SECONDS))
        except queue.Empty:
            if ended:
                return "\n".join(lines)
    lines[-1] = lines[-1].removesuffix(_END_MARK)
    return "\n".join(lines).removesuffix("\n")


def _install_existing_groups() -> None:
    """Write to the log group of a `LoggingConfig` only while it exists."""
    expect_names(cloudwatch_logs, "_log_groups")

    @replaces(lambda_svc, "_emit_lambda_logs")
    def emit_to_existing_group(emit: Any, function: Any, *arguments: Any, **source: Any) -> None:
        groups, config = cloudwatch_logs._log_groups, function.get("config") or function
        name = (config.get("LoggingConfig") or {}).get("LogGroup")
        there = groups.get(name)
        if name is None or there is not None:
            emit(function, *arguments, **source)
        if groups.get(name) is not there:  # CloudFormation has deleted it meanwhile, on another thread
            groups.pop(name, None)


_MINISTACKS_TYPE = "Runtime.HandlerError"
_TRACEBACK = "Traceback (most recent call last):\n"
_ABOVE_INFO = ("WARN", "ERROR", "FATAL")


def install_errors() -> None:
    """An exception of a Python handler is reported by its own type, and a `LoggingConfig` takes effect.

    Faults of ministack: it reports Runtime.HandlerError for every exception, and ignores the format and the
    level of a `LoggingConfig`. The type is in the traceback, which the worker appends to the log of a failed
    invocation.
    """

    @replaces(lambda_svc, "_execute_function_warm")
    def execute_with_type(execute: Any, function: Any, event: Any, request_id: str) -> Any:
        result = execute(function, event, request_id)
        body = result.get("body")
        if result.get("error") and isinstance(body, dict) and body.get("errorType") == _MINISTACKS_TYPE:
            raised = raised_type(result.get("log", ""), str(body.get("errorMessage")))
            body["errorType"] = raised or _MINISTACKS_TYPE
        if "log" in result:
            result["log"] = shown_log(function.get("config") or function, result, request_id)
        return result


def shown_log(config: dict[str, Any], result: dict[str, Any], request_id: str) -> str:
    """The log of an invocation in the format and from the level on that its function has.

    [V Lambda's guide] What Node.js prints has the level INFO, and what Python prints has none. [V
    awslambdaric/bootstrap.py, log_error] In JSON, an exception is one line.
    """
    log: str = result["log"]
    logging = config.get("LoggingConfig") or {}
    if logging.get("LogFormat") != "JSON":
        return log
    if logging.get("ApplicationLogLevel") in _ABOVE_INFO and "nodejs" in config.get("Runtime", ""):
        return ""
    before, traceback, frames = log.rpartition(_TRACEBACK)
    if not result.get("error") or not traceback:
        return log
    said = {
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "level": "ERROR",
        **result["body"],
        "requestId": request_id,
        "stackTrace": frames.splitlines(),
    }
    return before + json.dumps(said)


def raised_type(log: str, message: str) -> str | None:
    """The type of the exception in the Python traceback at the end of a log, None if there is none."""
    _, traceback, text = log.rpartition(_TRACEBACK)
    if not traceback:
        return None
    # The last line is "module.Type: message", or "module.Type" without a message.
    end = text.rfind(f": {message}") if message else len(text.rstrip())
    name = re.search(r"(\w+)$", text[:end]) if end >= 0 else None
    return None if name is None else name[1]


class Datum(NamedTuple):
    """One value of one metric, at a time in seconds since the epoch."""

    namespace: str
    name: str
    dimensions: dict[str, str]
    timestamp: float
    unit: str
    value: float


def install_embedded_metrics() -> None:
    """Log lines of Lambda functions in the embedded metric format become CloudWatch metrics.

    Fault of ministack: it ignores the format. A line is a JSON object with `_aws.CloudWatchMetrics`. Each
    directive names a namespace, metrics and sets of dimensions. The values of metrics (a number or a list of
    numbers) and of dimensions are members of the object. Each set of dimensions is a metric of its own [V,
    the format's specification]. Other lines are ignored.
    """
    expect_names(cloudwatch, "_store_datum", "_evaluate_all_alarms")

    @replaces(lambda_svc, "_emit_lambda_logs")
    def emit_with_metrics(
        emit: Any, function: Any, request_id: str, log: str, error: bool, duration_ms: int, **source: Any
    ) -> None:
        emit(function, request_id, log, error, duration_ms, **source)
        found = False
        for datum in (datum for line in (log or "").splitlines() for datum in data_of(line)):
            cloudwatch._store_datum(*datum, None, None, None)
            found = True
        if found:
            cloudwatch._evaluate_all_alarms()


def data_of(line: str) -> Iterator[Datum]:
    """Yield the metric values of a log line; none if the line is not in the format."""
    if '"_aws"' not in line:
        return
    try:
        content = json.loads(line)
        directives = content["_aws"]["CloudWatchMetrics"]
        timestamp = content["_aws"].get("Timestamp", time.time() * 1_000) / 1_000
        for directive in directives:
            for names in directive.get("Dimensions") or [[]]:
                dimensions = {name: str(content[name]) for name in names}
                for metric in directive["Metrics"]:
                    for value in _metric_values(content[metric["Name"]]):
                        unit = metric.get("Unit", "None")
                        yield Datum(
                            directive["Namespace"], metric["Name"], dimensions, timestamp, unit, value
                        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return


def _metric_values(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    return [float(one) for one in values if isinstance(one, (int, float)) and not isinstance(one, bool)]


_DOWNLOAD_URLS = ("_presigned_code_url", "_layer_content_url")


def install_download_urls(signer: DownloadSigner) -> None:
    """Download URLs of Lambda code and layers are signed, like AWS's presigned URLs.

    Fault of ministack: its URLs have a constant instead of a signature, and it serves the paths to everyone.
    """
    for name in _DOWNLOAD_URLS:

        @replaces(lambda_svc, name)
        def make_signed(make: Any, *arguments: object) -> str:
            return signer.signed(make(*arguments))
