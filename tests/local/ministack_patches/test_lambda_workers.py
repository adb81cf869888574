"""When the processes of functions end."""

from __future__ import annotations

import json
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ministack.core import lambda_runtime

from local_sagemaker.ministack_patches import lambda_workers
from local_sagemaker.server import LocalCloud
from tests.local.conftest import QUICK, boto_client
from tests.local.processes import needs_proc, processes_of
from tests.local.stacks import ROLE, Stack
from tests.local.waiting import until

SLEEPY = """
import time
def handler(event, context):
    open(event["begun"], "w").close()
    time.sleep(event["seconds"])
    return "done"
"""
FUNCTION = {
    "Runtime": "python3.12",
    "Role": ROLE,
    "Handler": "index.handler",
    "Code": {"ZipFile": SLEEPY},
    "Timeout": 30,
}


@needs_proc
@pytest.mark.integration
def test_processes_of_a_function_end_with_its_stack_once_its_invocations_have_ended(tmp_path: Path) -> None:
    def workers() -> int:
        return sum("_worker" in command for command in processes_of(tmp_path))

    with LocalCloud(state_dir=tmp_path, settings=QUICK) as cloud, ThreadPoolExecutor() as threads:
        stack = Stack(boto_client(cloud, "cloudformation"), "functions")
        function = {"Type": "AWS::Lambda::Function", "Properties": FUNCTION}
        assert stack.create({"One": function, "Two": function}) == "CREATE_COMPLETE"
        lambda_ = boto_client(cloud, "lambda")

        def invoke(name: str, seconds: float) -> Future[Any]:
            begun = tmp_path / f"{name}-{seconds}"
            payload = json.dumps({"begun": str(begun), "seconds": seconds})
            identifier = stack.physical_id(name)
            invocation = threads.submit(lambda_.invoke, FunctionName=identifier, Payload=payload)
            until(begun.exists)
            return invocation

        together = [invoke("One", 1), invoke("One", 1.1), invoke("Two", 0)]
        for invocation in together:
            assert invocation.result()["Payload"].read() == b'"done"'
        running = invoke("Two", 4)
        assert workers() == 3
        assert stack.delete() == "DELETE_COMPLETE"
        until(lambda: workers() == 1)
        assert not running.done()
        assert running.result()["Payload"].read() == b'"done"'
        until(lambda: workers() == 0)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Adds workers to the pool of a function, each a process that sleeps."""
    pools: dict[str, list[Any]] = {}
    monkeypatch.setattr(lambda_runtime, "_workers", pools)
    processes = []

    def add(function: str, *, idle: float, in_use: bool = False, timeout: int = 3) -> Any:
        processes.append(subprocess.Popen(["sleep", "100"]))
        made = SimpleNamespace(
            process=processes[-1],
            _proc=processes[-1],
            _discard_tmpdir=lambda: None,
            config={"Timeout": timeout},
            in_use=in_use,
            last_used=time.time() - idle,
        )
        pools.setdefault(f"000000000000:us-east-1:{function}:$LATEST", []).append(made)
        return made

    yield add
    for process in processes:
        process.kill()
        process.wait()


def test_each_worker_ends_that_was_idle_for_some_time(
    worker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lambda_runtime, "_LOCAL_WORKER_TTL", 60.0)
    idle = [worker("one", idle=61), worker("one", idle=300), worker("two", idle=61)]
    kept = [worker("one", idle=300, in_use=True), worker("three", idle=59)]
    assert lambda_workers.stop_idle_workers() == 3
    assert [one.process.poll() is None for one in idle] == [False, False, False]
    assert [one.process.poll() is None for one in kept] == [True, True]
    assert [one for pool in lambda_runtime._workers.values() for one in pool] == kept


def test_invocation_that_does_not_end_is_not_waited_for_beyond_its_timeout(
    worker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lambda_workers, "_GRACE_SECONDS", 0.2)
    stuck = worker("one", idle=0, in_use=True, timeout=0)
    other = worker("one-more", idle=0)
    lambda_workers.stop_when_free(lambda_workers.take_workers("000000000000", "us-east-1", "one"))
    assert stuck.process.poll() is not None
    assert other.process.poll() is None


@pytest.mark.integration
def test_functions_of_the_same_code_run_one_copy_of_it(
    function: Callable[[str], str], client: Callable[..., Any]
) -> None:
    source = "import os\n\ndef handler(event, context):\n    return os.path.realpath(__file__)\n"
    places = [client("lambda").invoke(FunctionName=function(source))["Payload"].read() for _ in range(2)]
    assert places[0] == places[1]


def test_packages_of_node_are_each_functions_own(tmp_path: Path) -> None:
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("index.js", "")
        made.writestr("node_modules/one/index.js", "")
    code = tmp_path / "code"
    with lambda_workers.SharedArchive(archive) as shared:
        shared.extractall(code)
    assert not any(path.is_symlink() for path in code.iterdir())
    assert (code / "node_modules" / "one").is_dir()
