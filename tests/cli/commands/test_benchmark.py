"""`adapters benchmark` on a fake SageMaker and a fake runtime, through the real boto3."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner, Result

from adapters_cli.aws.account import Account
from adapters_cli.commands.benchmark import _on_this_machine
from adapters_cli.main import app
from tests.cli.fake_runtime import Call, FakeRuntime, Reply
from tests.fakes.errors import client_error

ENGINE = "LMI 19 (vLLM 0.14.0, djl-inference:0.36.0-lmi19.0.0-cu128)"
COMPONENTS = {"llm-base": {"ModelName": "model"}} | {
    f"llm-{name}": {"BaseInferenceComponentName": "llm-base"} for name in ("acme", "zeta")
}


class FakeSageMaker:
    def describe_inference_component(self, *, InferenceComponentName: str) -> dict[str, Any]:  # noqa: N803
        if InferenceComponentName not in COMPONENTS:
            raise client_error("ValidationException", "Could not find inference component")
        return {
            "EndpointName": "llm",
            "Specification": COMPONENTS[InferenceComponentName],
            "InferenceComponentStatus": "InService",
            "LastModifiedTime": datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC),
            "CreationTime": datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC),
            "InferenceComponentArn": f"arn:aws:sagemaker:::inference-component/{InferenceComponentName}",
            "RuntimeConfig": {"CurrentCopyCount": 1},
            "ResponseMetadata": {},
        }

    def list_inference_components(self, **_: str) -> dict[str, Any]:
        described = [
            {"InferenceComponentName": name, **self.describe_inference_component(InferenceComponentName=name)}
            for name in COMPONENTS
        ]
        return {"InferenceComponents": described}

    def describe_model(self, *, ModelName: str) -> dict[str, Any]:  # noqa: N803
        image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.36.0-lmi19.0.0-cu128"
        return {"PrimaryContainer": {"Image": image, "Environment": {"OPTION_MAX_LORAS": "1"}}}


class FakeAccount(Account):
    """`url` is the runtime's; None is AWS's own."""

    def __init__(self, url: str | None) -> None:
        self._url = url

    def client(self, service: str, config: Any = None) -> Any:
        if service == "sagemaker":
            return FakeSageMaker()
        made: Any = boto3.client  # whose stubs want each service by its name
        return made(service, endpoint_url=self._url, config=config)


def answer(call: Call) -> Reply:
    tokens = call.body["max_tokens"]
    events = [{"choices": [{"text": "a"}]}] * tokens
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": tokens}}
    return Reply.stream(*(b"data: " + json.dumps(event).encode() + b"\n\n" for event in [*events, usage]))


@pytest.fixture
def runtime(aws_environment: None) -> Iterator[FakeRuntime]:
    with FakeRuntime() as runtime:
        runtime.reply = answer
        yield runtime


@pytest.fixture
def run(runtime: FakeRuntime) -> Callable[..., Result]:
    def run(*arguments: str | Path, url: str | None = runtime.url) -> Result:
        command = ["benchmark", *map(str, arguments)]
        return CliRunner().invoke(app, command, obj=FakeAccount(url), catch_exceptions=False)

    return run


SHORT = (
    "--endpoint",
    "llm",
    "-c",
    "llm-acme",
    "-c",
    "llm-zeta",
    "--requests",
    "4",
    "--max-tokens",
    "3",
)
WARM_UP = 5
"""Requests to each side before each level that do not count."""


def test_adapters_are_measured_beside_their_base(run: Callable[..., Result], runtime: FakeRuntime) -> None:
    result = run(*SHORT, "--concurrency", "1,2", "--json")
    assert json.loads(result.stdout)["made_at"].endswith("Z")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert (document["endpoint"], document["base"], document["engine"]) == ("llm", "llm-base", ENGINE)
    assert [level["concurrency"] for level in document["levels"]] == [1, 2]
    for level in document["levels"]:
        assert level["adapter"]["request_count"]["avg"] == level["base"]["request_count"]["avg"] == 4
        assert level["equal_output_length"] is True
        # The fake sends all tokens at once.
        assert level["in_bursts"] is True
        assert level["adapter_by_base"].keys() == {"time_to_first_token.p50", "request_latency.p50"}
    # One request to find the form, then the warm-up and four requests to each side of two levels.
    assert len(runtime.calls) == 1 + 2 * 2 * (WARM_UP + 4)
    assert {call.component for call in runtime.calls} == set(COMPONENTS)


def test_rows_in_a_pipe_are_fields_between_tabs(run: Callable[..., Result]) -> None:
    rows = [line.split("\t") for line in run(*SHORT, "--concurrency", "1").stdout.splitlines()]
    assert [row[1:4] for row in rows[:2]] == [["1 at once", "2", "base"], ["1 at once", "2", "adapters"]]
    assert [row[0] for row in rows[1:3]] == ["latency", "throughput"]
    assert rows[-1][0] == "note"


def test_requirement_that_is_not_met_ends_with_1_and_the_reason(run: Callable[..., Result]) -> None:
    assert run(*SHORT, "--concurrency", "1", "--require", "request_latency.p50 <= base * 1000").exit_code == 0
    rule = "request_error_rate >= 50"
    result = run(*SHORT, "--concurrency", "1", "--require", rule)
    assert result.exit_code == 1
    assert f"{rule}: not met at 1 at once, 2 adapters: request_error_rate.avg is 0" in result.stderr


def test_endpoint_that_is_not_on_this_machine_has_to_be_named_twice(
    run: Callable[..., Result], runtime: FakeRuntime
) -> None:
    result = run(*SHORT, url=None)
    assert (result.exit_code, runtime.calls) == (2, [])
    assert "(runtime.sagemaker.eu-central-1.amazonaws.com); --yes-load llm allows it" in result.stderr


@pytest.mark.parametrize(("arguments", "named"), [(SHORT, "llm"), (["--stack", "Tenants"], "ENDPOINT")])
def test_other_machine_is_refused_before_anything_is_asked_there(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], named: str
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr("adapters_cli.commands.benchmark.find_adapters", unreachable)
    result = run(*arguments, url="http://10.255.255.1:4566")
    assert result.exit_code == 2
    assert f"(10.255.255.1); --yes-load {named} allows it" in result.stderr


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:4566", True),
        ("http://127.8.0.1:4566", True),
        ("http://[::1]:4566", True),
        ("http://0.0.0.0:4566", False),
        ("http://localhost.example.com", False),
        ("https://127.0.0.1.example.com", False),
        ("https://user@localhost@example.com", False),
    ],
)
def test_this_machine_is_a_loopback_address(monkeypatch: pytest.MonkeyPatch, url: str, here: bool) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert _on_this_machine(url) is here


def test_loopback_address_behind_a_proxy_is_not_this_machine(
    run: Callable[..., Result], runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://proxy.example.com:3128")
    result = run(*SHORT)
    assert (result.exit_code, runtime.calls) == (2, [])
    assert "(127.0.0.1); --yes-load llm allows it" in result.stderr


def test_second_name_has_to_be_the_endpoint_s(run: Callable[..., Result], runtime: FakeRuntime) -> None:
    result = run(*SHORT, "--yes-load", "other")
    assert (result.exit_code, runtime.calls) == (2, [])
    assert "--yes-load should be the endpoint's name, 'llm', got 'other'" in result.stderr


def test_endpoint_that_fails_is_reported_with_its_own_words(
    run: Callable[..., Result], runtime: FakeRuntime
) -> None:
    runtime.reply = lambda call: Reply.error(400, "ValidationError", message="no such component")
    result = run(*SHORT)
    assert (result.exit_code, len(runtime.calls)) == (1, 1)
    assert "llm-base does not answer: no such component" in result.stderr


def test_errors_are_counted_by_kind_and_do_not_end_the_benchmark(
    run: Callable[..., Result], runtime: FakeRuntime
) -> None:
    def reply(call: Call) -> Reply:
        if call.component == "llm-acme":
            return Reply.error(400, "ThrottlingException", message="slow down")
        return answer(call)

    runtime.reply = reply
    result = run(*SHORT, "--requests", "20", "--concurrency", "1", "--json")
    assert result.exit_code == 0
    [level] = json.loads(result.stdout)["levels"]
    [errors] = level["adapter"]["error_summary"]
    assert errors["error_details"] == {"type": "ThrottlingException", "message": "slow down"}
    assert 0 < errors["count"] < 20
    assert level["adapter"]["request_error_rate"]["avg"] == 5 * errors["count"]
    assert level["base"]["error_summary"] == []


def test_benchmark_in_which_no_adapter_answers_ends_with_1(
    run: Callable[..., Result], runtime: FakeRuntime
) -> None:
    def reply(call: Call) -> Reply:
        return (
            answer(call)
            if call.component == "llm-base"
            else Reply.error(400, "ValidationError", message="no")
        )

    runtime.reply = reply
    result = run(*SHORT, "--concurrency", "1")
    assert result.exit_code == 1
    assert "no adapter answered a request" in result.stderr


def test_prompts_of_a_file_are_sent_in_turn(
    run: Callable[..., Result], runtime: FakeRuntime, tmp_path: Path
) -> None:
    file = tmp_path / "prompts.csv"
    file.write_text("prompt,reference\none,1\ntwo,2\n")
    run(*SHORT, "--concurrency", "1", "--dataset", file)
    asked = [(call.component == "llm-base", call.body["prompt"]) for call in runtime.calls[1:]]
    for base in (True, False):
        own = [prompt for side, prompt in asked if side is base][WARM_UP:]
        # The first prompt is the one after those of the warm-up.
        assert own == ["two", "one", "two", "one"]


def test_file_without_prompts_is_refused(
    run: Callable[..., Result], runtime: FakeRuntime, tmp_path: Path
) -> None:
    file = tmp_path / "prompts.json"
    file.write_text('[{"prompt": 1}]')
    result = run(*SHORT, "--dataset", file)
    assert (result.exit_code, runtime.calls) == (2, [])
    assert "row 1: should have a text 'prompt'" in result.stderr


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--concurrency", "1,a"], "'concurrency' should be whole numbers above 0"),
        (["--rate", "-1"], "'rate' should be numbers above 0"),
        (["--rate", "1", "--concurrency", "1"], "--concurrency is a closed loop, and --rate an open one"),
        (["--require", "fast"], "a requirement should be like"),
    ],
)
def test_wrong_options_end_with_2_before_anything_is_sent(
    run: Callable[..., Result], runtime: FakeRuntime, options: list[str], error: str
) -> None:
    result = run(*SHORT, *options)
    assert (result.exit_code, runtime.calls) == (2, [])
    assert error in result.stderr


def test_base_alone_is_refused(run: Callable[..., Result]) -> None:
    result = run("--endpoint", "llm", "-c", "llm-base")
    assert result.exit_code == 2
    assert "llm-base is the base; name adapters" in result.stderr


def test_unknown_component_ends_with_1_as_in_other_commands(
    run: Callable[..., Result], runtime: FakeRuntime
) -> None:
    result = run("--endpoint", "llm", "-c", "llm-acmee")
    assert (result.exit_code, runtime.calls) == (1, [])
    assert "endpoint llm has no component 'llm-acmee'; did you mean 'llm-acme'?" in result.stderr


def test_ctrl_c_ends_with_130_and_prints_what_was_measured(
    run: Callable[..., Result], runtime: FakeRuntime
) -> None:
    import _thread

    def reply(call: Call) -> Reply:
        if len(runtime.calls) == 1 + 2 * WARM_UP + 3:
            _thread.interrupt_main()
        return answer(call)

    runtime.reply = reply
    result = run(*SHORT, "--requests", "100000", "--concurrency", "1", "--json")
    assert result.exit_code == 130
    document = json.loads(result.stdout)
    assert document["interrupted"] is True
    assert document["levels"][0]["base"]["request_count"]["avg"] >= 2
