"""Functions: their code, logs, errors and metrics, and when their processes end."""

import base64
import io
import json
import queue
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from ministack.core import lambda_runtime
from ministack.services import cloudwatch_logs, lambda_svc

from local_sagemaker.http_guards import TOKEN_VARIABLE
from local_sagemaker.ministack_patches import lambda_functions
from local_sagemaker.ministack_patches.lambda_functions import raised_type, shown_log
from local_sagemaker.server import LocalCloud
from tests.local.conftest import QUICK, Client, boto_client
from tests.local.processes import needs_proc, processes_of
from tests.local.stacks import ROLE, MakeFunction, Stack, until

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


ENVIRONMENT = """
import os
def handler(event, context):
    return dict(os.environ)
"""


@pytest.mark.integration
def test_function_has_its_own_variables_and_none_of_the_developer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (TOKEN_VARIABLE, "GITHUB_TOKEN"):
        monkeypatch.setenv(variable, "secret")
    with LocalCloud(state_dir=tmp_path, settings=QUICK) as cloud:
        assert TOKEN_VARIABLE not in cloud.environment
        lambda_ = boto_client(cloud, "lambda")
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("index.py", ENVIRONMENT)
        function = {**FUNCTION, "Code": {"ZipFile": archive.getvalue()}}
        lambda_.create_function(FunctionName="one", **function, Environment={"Variables": {"OWN": "1"}})
        found = json.loads(lambda_.invoke(FunctionName="one")["Payload"].read())
    assert found["OWN"] == "1"
    assert found["AWS_ENDPOINT_URL"] == cloud.url
    assert found.keys() & {"GITHUB_TOKEN", "HOME", "USER", "PYTHONPATH", TOKEN_VARIABLE} == set()
    assert cloud.token not in found.values()


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
    assert lambda_functions.stop_idle_workers() == 3
    assert [one.process.poll() is None for one in idle] == [False, False, False]
    assert [one.process.poll() is None for one in kept] == [True, True]
    assert [one for pool in lambda_runtime._workers.values() for one in pool] == kept


def test_invocation_that_does_not_end_is_not_waited_for_beyond_its_timeout(
    worker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lambda_functions, "_GRACE_SECONDS", 0.2)
    stuck = worker("one", idle=0, in_use=True, timeout=0)
    other = worker("one-more", idle=0)
    lambda_functions.stop_when_free(lambda_functions.take_workers("000000000000", "us-east-1", "one"))
    assert stuck.process.poll() is not None
    assert other.process.poll() is None


@pytest.mark.integration
def test_functions_of_the_same_code_run_one_copy_of_it(function: MakeFunction, client: Client) -> None:
    source = "import os\n\ndef handler(event, context):\n    return os.path.realpath(__file__)\n"
    places = [client("lambda").invoke(FunctionName=function(source))["Payload"].read() for _ in range(2)]
    assert places[0] == places[1]


def test_packages_of_node_are_each_functions_own(tmp_path: Path) -> None:
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("index.js", "")
        made.writestr("node_modules/one/index.js", "")
    code = tmp_path / "code"
    with lambda_functions.SharedArchive(archive) as shared:
        shared.extractall(code)
    assert not any(path.is_symlink() for path in code.iterdir())
    assert (code / "node_modules" / "one").is_dir()


def test_exception_of_a_python_handler_has_its_own_type(function: MakeFunction, client: Client) -> None:
    arn = function("class Odd(Exception): ...\ndef handler(event, context):\n    raise Odd('so it is')\n")
    answer = client("lambda").invoke(FunctionName=arn)
    assert answer["FunctionError"] == "Unhandled"
    said = json.loads(answer["Payload"].read())
    assert (said["errorType"], said["errorMessage"]) == ("Odd", "so it is")


@pytest.mark.parametrize(
    ("raised", "name"),
    [
        ("index.Odd: so it is\n", "Odd"),
        ("index.Outer.Inner: so it is\n", "Inner"),
        ("NameError: so it is. Did you mean: 'this'?\n", "NameError"),
        ("index.Odd: another message\n", None),
    ],
)
def test_type_is_read_from_the_last_line_of_the_traceback(raised: str, name: str | None) -> None:
    traceback = "Traceback (most recent call last):\n  File index.py\n"
    assert raised_type(f"a line\n{traceback}{raised}", "so it is") == name
    assert raised_type(f"{traceback}index.Odd\n", "") == "Odd"
    assert raised_type("so it is", "so it is") is None


def test_exception_of_a_function_that_logs_json_is_one_line(function: MakeFunction, client: Client) -> None:
    arn = function("def handler(event, context):\n    print('before')\n    raise KeyError('so it is')\n")
    lambda_ = client("lambda")
    lambda_.update_function_configuration(FunctionName=arn, LoggingConfig={"LogFormat": "JSON"})
    lambda_.invoke(FunctionName=arn)
    group = f"/aws/lambda/{arn.rpartition(':')[2]}"
    messages = [event["message"] for event in client("logs").filter_log_events(logGroupName=group)["events"]]
    before, error = (message for message in messages if "RequestId: " not in message)
    said = json.loads(error)
    assert (before, said["level"], said["errorType"]) == ("before", "ERROR", "KeyError")
    assert "raise KeyError" in "".join(said["stackTrace"])


@pytest.mark.parametrize(
    ("level", "runtime", "log"),
    [("FATAL", "nodejs24.x", ""), ("INFO", "nodejs24.x", "said"), ("FATAL", "python3.13", "said")],
)
def test_lines_of_node_are_logged_from_their_level_on(level: str, runtime: str, log: str) -> None:
    config = {"Runtime": runtime, "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": level}}
    assert shown_log(config, {"log": "said", "body": {}}, "id") == log


def test_log_group_that_was_deleted_does_not_come_back_with_a_functions_last_lines(
    function: MakeFunction, client: Client
) -> None:
    lambda_, group = client("lambda"), "deleted-before"
    arn = function("def handler(event, context):\n    print('late')\n")
    lambda_.update_function_configuration(FunctionName=arn, LoggingConfig={"LogGroup": group})
    lambda_.invoke(FunctionName=arn)
    assert client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []


def test_log_group_that_is_deleted_while_lines_are_written_stays_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups = {"kept": {"lines": 0}, "deleted": {"lines": 0}}

    def write(function: dict[str, Any], *, deletes: bool) -> None:
        name = function["LoggingConfig"]["LogGroup"]
        if deletes:
            del groups[name]
        groups.setdefault(name, {"lines": 0})["lines"] += 1

    monkeypatch.setattr(lambda_svc, "_emit_lambda_logs", write)
    monkeypatch.setattr(cloudwatch_logs, "_log_groups", groups)
    lambda_functions._install_existing_groups()
    for name in ("kept", "deleted", "missing"):
        emit: Any = lambda_svc._emit_lambda_logs
        emit({"LoggingConfig": {"LogGroup": name}}, deletes=name == "deleted")
    assert groups == {"kept": {"lines": 1}}


def test_all_lines_of_an_invocation_are_its_own(function: MakeFunction, client: Client) -> None:
    lambda_, arn = client("lambda"), function("def handler(event, context):\n    print(event, end='')\n")
    for number in range(3):
        answer = lambda_.invoke(FunctionName=arn, Payload=str(number), LogType="Tail")
        assert base64.b64decode(answer["LogResult"]).decode().splitlines() == [str(number)]


def test_lines_that_arrive_slowly_are_waited_for() -> None:
    lines: queue.Queue[str] = queue.Queue()

    def write() -> None:
        for line in ("one", "two", lambda_functions._END_MARK, "of the next"):
            time.sleep(0.1)
            lines.put(line)

    writer = threading.Thread(target=write)
    writer.start()
    worker = SimpleNamespace(_stderr_thread=writer, _stderr_queue=lines)
    assert lambda_functions.lines_of_invocation(worker) == "one\ntwo"
    writer.join()
    # Without the end, those of a process that has ended are kept.
    assert lambda_functions.lines_of_invocation(worker) == "of the next"


EMBEDDED_METRIC = """
import json, time

def handler(event, context):
    print("not a metric, though it says \\"_aws\\"")
    for fleet, pending in (("one", 3), ("two", [5, 7])):
        directive = {"Namespace": "Adapters", "Dimensions": [["Fleet"]], "Metrics": [{"Name": "Pending"}]}
        about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
        print(json.dumps({"_aws": about, "Fleet": fleet, "Pending": pending}))
"""


def test_embedded_metric_of_a_log_line_is_a_metric_of_its_dimensions(
    function: MakeFunction, client: Client
) -> None:
    client("lambda").invoke(FunctionName=function(EMBEDDED_METRIC))
    cloudwatch, now = client("cloudwatch"), datetime.now(UTC)
    span = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=5)}

    def metric(fleet: str) -> dict[str, Any]:
        dimensions = [{"Name": "Fleet", "Value": fleet}]
        return {"Namespace": "Adapters", "MetricName": "Pending", "Dimensions": dimensions}

    statistics = cloudwatch.get_metric_statistics(**metric("two"), **span, Period=3600, Statistics=["Sum"])
    assert sum(point["Sum"] for point in statistics["Datapoints"]) == 12
    query = {"Id": "m", "MetricStat": {"Metric": metric("one"), "Period": 3600, "Stat": "Maximum"}}
    (result,) = cloudwatch.get_metric_data(**span, MetricDataQueries=[query])["MetricDataResults"]
    assert result["Values"] == [3]


def test_download_url_of_a_function_or_a_layer_is_signed(function: MakeFunction, client: Client) -> None:
    arn = function("def handler(event, context): ...")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("python/module.py", "")
    layer = {"LayerName": "layer", "Content": {"ZipFile": buffer.getvalue()}}
    for url, file in (
        (client("lambda").get_function(FunctionName=arn)["Code"]["Location"], "index.py"),
        (client("lambda").publish_layer_version(**layer)["Content"]["Location"], "python/module.py"),
    ):
        with zipfile.ZipFile(io.BytesIO(httpx.get(url).raise_for_status().content)) as archive:
            assert archive.namelist() == [file]
        for other in (url.partition("?")[0], url[:-1] + ("0" if url[-1] != "0" else "1")):
            assert httpx.get(other).status_code == 401
