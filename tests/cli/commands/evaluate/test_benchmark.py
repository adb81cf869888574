"""`adapters benchmark` on a fleet in memory and a fake runtime, through the real boto3."""

import json
import time
from pathlib import Path

import pytest

from adapters_cli.load.latency_requirement import FIGURES
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fake_runtime import Call, FakeRuntime, Reply
from tests.cli.fleet_account import FakeAccount, Run
from tests.fakes import FakeClient

ENGINE = "LMI 19 (vLLM 0.14.0, djl-inference:0.36.0-lmi19.0.0-cu128)"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.36.0-lmi19.0.0-cu128"
BASE = {"ModelName": "model"}
ADAPTER = {"BaseInferenceComponentName": "base"}


def answer(call: Call) -> Reply:
    tokens = call.body["max_tokens"]
    events = [{"choices": [{"text": "a"}]}] * tokens
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": tokens}}
    return Reply.stream(*(b"data: " + json.dumps(event).encode() + b"\n\n" for event in [*events, usage]))


@pytest.fixture(autouse=True)
def runtime(runtime: FakeRuntime) -> FakeRuntime:
    runtime.reply = answer
    return runtime


@pytest.fixture(autouse=True)
def deployed(world: World, account: FakeAccount) -> None:
    """Two adapters on a base, of which SageMaker tells the engine."""
    world.apply(adapter("acme"), adapter("zeta"))
    described = {"EndpointName": "endpoint", "RuntimeConfig": {"CurrentCopyCount": 1}, "ResponseMetadata": {}}
    model = {"PrimaryContainer": {"Image": IMAGE}}
    account.clients["sagemaker"] = FakeClient(
        describe_inference_component=lambda InferenceComponentName: (  # noqa: N803
            described | {"Specification": BASE if InferenceComponentName == "base" else ADAPTER}
        ),
        describe_model=lambda **_: model,
    )


@pytest.fixture
def benchmark(run: Run) -> Run:
    return lambda *arguments: run("benchmark", *arguments, "--yes", fleet=False)


ON = ("--endpoint", "endpoint")
MIXED = (*ON, "-c", "p-acme", "-c", "p-zeta", "--max-tokens", "3")
REQUESTS = 12
SHORT = (*MIXED, "--requests", str(REQUESTS))
WARM_UP = 5
"""Requests to each side that do not count."""


def test_adapters_are_measured_beside_their_base(benchmark: Run, runtime: FakeRuntime) -> None:
    result = benchmark(*SHORT, "--concurrency", "2", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert (document["endpoint"], document["base_component"], document["engine"]) == (
        "endpoint",
        "base",
        ENGINE,
    )
    assert document["concurrency"] == 2
    assert document["adapters"]["request_count"] == document["base"]["request_count"] == REQUESTS
    assert (document["complete"], document["equal_output_length"]) == (True, True)
    # The fake sends all tokens at once.
    assert document["in_bursts"] is True
    assert document["adapters_by_base"].keys() == {
        "request_latency.p50",
        "request_latency.p90",
        "request_throughput",
        "output_token_throughput",
    }
    # One request to find the form, then the warm-up and the requests to each side.
    assert len(runtime.calls) == 1 + 2 * (WARM_UP + REQUESTS)
    assert {call.component for call in runtime.calls} == {"base", "p-acme", "p-zeta"}


def test_table_is_the_output_and_notes_are_beside_it(benchmark: Run) -> None:
    result = benchmark(*SHORT)
    figures = [line.split("\t")[0] for line in result.stdout.splitlines()]
    assert figures == list(FIGURES)
    assert f"endpoint on {ENGINE}: 2 adapters beside base, 1 at once" in result.stderr
    assert "many answers came in one burst" in result.stderr


def test_requirement_that_is_not_met_ends_with_1_and_the_reason(benchmark: Run) -> None:
    once = (*MIXED, "--requests", "40", "--require")
    assert benchmark(*once, "request_latency.p50 <= base * 1000").exit_code == 0
    rule = "request_error_rate >= 50"
    result = benchmark(*once, rule)
    assert result.exit_code == 1
    assert f"missed: {rule}: request_error_rate is 0 %" in result.stderr


def test_undecided_requirement_ends_with_6_unless_another_is_missed(benchmark: Run) -> None:
    # The fake sends all tokens at once.
    rule = "time_to_first_token.p50 <= base * 1000"
    once = (*SHORT, "--require", rule)
    result = benchmark(*once)
    assert (result.exit_code, f"undecided: {rule}" in result.stderr) == (6, True)
    assert benchmark(*once, "--require", "request_error_rate >= 50").exit_code == 1


def test_nothing_is_sent_without_a_yes(run: Run, runtime: FakeRuntime) -> None:
    result = run("benchmark", *SHORT, fleet=False)
    assert (result.exit_code, runtime.calls) == (1, [])
    assert "there is no terminal to ask on; --yes confirms" in result.stderr


def test_person_is_asked_with_the_endpoint_and_its_address(
    run: Run, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    result = run("benchmark", *SHORT, fleet=False, stdin="n\n")
    assert (result.exit_code, runtime.calls) == (1, [])
    assert f"Load endpoint 'endpoint' at {runtime.url}, which others may use? [y/N]" in result.stderr
    assert "nothing is sent" in result.stderr


def test_endpoint_that_fails_is_reported_with_its_own_words(benchmark: Run, runtime: FakeRuntime) -> None:
    runtime.reply = lambda call: Reply.error(400, "ValidationError", message="no such component")
    result = benchmark(*SHORT)
    assert (result.exit_code, len(runtime.calls)) == (1, 1)
    assert "base does not answer: no such component" in result.stderr


def test_errors_are_counted_by_kind_and_do_not_end_the_benchmark(
    benchmark: Run, runtime: FakeRuntime
) -> None:
    def reply(call: Call) -> Reply:
        if call.component == "p-acme":
            return Reply.error(400, "ThrottlingException", message="slow down")
        return answer(call)

    runtime.reply = reply
    result = benchmark(*MIXED, "--requests", "20", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    [errors] = document["adapters"]["error_summary"]
    assert (errors["type"], errors["message"]) == ("ThrottlingException", "slow down")
    assert 0 < errors["count"] < 20
    assert document["adapters"]["request_error_rate"] == 5 * errors["count"]
    assert document["base"]["error_summary"] == []


def test_benchmark_in_which_no_adapter_answers_ends_with_1(benchmark: Run, runtime: FakeRuntime) -> None:
    def reply(call: Call) -> Reply:
        return answer(call) if call.component == "base" else Reply.error(400, "ValidationError", message="no")

    runtime.reply = reply
    result = benchmark(*SHORT)
    assert result.exit_code == 1
    assert "no adapter answered a request" in result.stderr


def test_prompts_of_a_file_are_sent(benchmark: Run, runtime: FakeRuntime, tmp_path: Path) -> None:
    file = tmp_path / "prompts.csv"
    file.write_text("prompt,reference\none,1\ntwo,2\n")
    benchmark(*SHORT, "--dataset", file)
    assert {call.body["prompt"] for call in runtime.calls} == {"one", "two"}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--concurrency", "1,8"], "invalid value for '--concurrency'"),
        (["--concurrency", "0"], "invalid value for '--concurrency'"),
        (["--require", "fast"], "a requirement should be like"),
    ],
)
def test_wrong_options_end_with_2_before_anything_is_sent(
    benchmark: Run, runtime: FakeRuntime, options: list[str], error: str
) -> None:
    result = benchmark(*SHORT, *options)
    assert (result.exit_code, runtime.calls) == (2, [])
    assert error in result.stderr


def test_base_alone_is_refused(benchmark: Run) -> None:
    result = benchmark(*ON, "-c", "base")
    assert (result.exit_code, "base is the base; name adapters" in result.stderr) == (2, True)


def test_ctrl_c_ends_with_130_and_sends_nothing_more(benchmark: Run, runtime: FakeRuntime) -> None:
    import _thread

    def reply(call: Call) -> Reply:
        if len(runtime.calls) == 1 + 2 * WARM_UP + 3:
            _thread.interrupt_main()
        return answer(call)

    runtime.reply = reply
    result = benchmark(*MIXED, "--requests", "100000", "--json")
    assert (result.exit_code, result.stdout) == (130, "")
    sent = len(runtime.calls)
    time.sleep(0.2)
    assert len(runtime.calls) - sent <= 1
