import json
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from typer.testing import CliRunner, Result

from adapters_cli.aws.account import Account
from adapters_cli.aws.engine_name import BaseContainer
from adapters_cli.main import app
from tests.adapter_fleet.fake_service import FakeClock
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fake_runtime import Call, FakeRuntime, Reply
from tests.cli.fleet_account import FakeAccount

BASE, ECTSUM = ["--component", "llm-base"], ["--component", "llm-ectsum"]


def invoke(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["invoke", "--endpoint", "llm", *arguments], input=stdin)


def test_one_component_in_a_pipe_gives_the_answer_to_a_completion_and_nothing_else(
    runtime: FakeRuntime,
) -> None:
    result = invoke("Hello", *ECTSUM, "--max-tokens", "7")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "answer of llm-ectsum\n", "")
    body = {"prompt": "Hello", "max_tokens": 7, "temperature": 0.0}
    assert runtime.calls == [Call("/endpoints/llm/invocations", "llm-ectsum", body)]


def test_first_refusal_is_told_if_every_schema_is_refused(runtime: FakeRuntime) -> None:
    runtime.reply = lambda call: Reply.error(
        424, "ModelError", OriginalStatusCode=400, OriginalMessage=f"no {next(iter(call.body))}"
    )
    result = invoke("Hello", *ECTSUM)
    assert result.stderr == "adapters: llm-ectsum: the container answered 400: no prompt\n"


def test_prompt_can_come_from_standard_input_and_a_component_given_twice_is_asked_once(
    runtime: FakeRuntime,
) -> None:
    assert invoke("-", *ECTSUM, *ECTSUM, stdin="a long\nprompt").stdout == "answer of llm-ectsum\n"
    assert [call.body["prompt"] for call in runtime.calls] == ["a long\nprompt"]


@pytest.mark.parametrize("prompt", ["-", "Gr\udcfc\udcdfe"])
def test_prompt_that_is_no_utf8_asks_nothing(runtime: FakeRuntime, prompt: str) -> None:
    result = invoke(prompt, *ECTSUM, stdin="Grüße".encode("cp1252"))
    assert (result.exit_code, runtime.calls) == (2, [])
    assert "should be UTF-8 text, got byte 0xfc at position 2; it may be Windows-1252" in result.stderr


@pytest.mark.parametrize(("copies", "code", "asked"), [([0, 0, 0, 1], 0, 3), ([0] * 100, 1, 90)])
def test_base_without_a_copy_is_woken_and_waited_for(
    runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch, copies: list[int], code: int, asked: int
) -> None:
    clock = FakeClock()
    left = iter(copies)
    found = BaseContainer(component="llm-base", endpoint="llm", copies=0, engine=None)
    monkeypatch.setattr(BaseContainer, "read", lambda *_: replace(found, copies=next(left)))
    monkeypatch.setattr(Account, "now", lambda _: clock.now())
    monkeypatch.setattr(Account, "sleep", lambda _, seconds: clock.sleep(seconds))
    result = invoke("Hello", *ECTSUM, "--wait")
    assert (result.exit_code, len(runtime.calls)) == (code, asked)
    assert {call.body["prompt"] for call in runtime.calls[:-1]} == {"wake up"}


def test_components_are_asked_at_the_same_time(runtime: FakeRuntime) -> None:
    all_here = threading.Barrier(2, timeout=20)

    def reply(call: Call) -> Reply:
        all_here.wait()
        return Reply.text("together")

    runtime.reply = reply
    assert invoke("Hello", *BASE, *ECTSUM).exit_code == 0


def test_json_has_the_answer_of_each_component(runtime: FakeRuntime) -> None:
    document = json.loads(invoke("Hello", *BASE, *ECTSUM, "--json").stdout)
    assert document["prompt"] == "Hello"
    answers = document["answers"]
    assert [(answer["component"], answer["text"]) for answer in answers] == [
        ("llm-base", "answer of llm-base"),
        ("llm-ectsum", "answer of llm-ectsum"),
    ]
    assert all(0 < answer["seconds"] < 60 for answer in answers)


class TestFleet:
    """Adapters of a fleet, which knows its endpoint."""

    @pytest.fixture(autouse=True)
    def deployed(self, world: World, account: FakeAccount, runtime: FakeRuntime) -> None:
        world.apply(adapter("acme"), adapter("beta"))

    def test_several_are_told_apart_by_their_names(self, run: Callable[..., Result]) -> None:
        result = run("invoke", "beta", "acme", "Hello", "--base")
        assert result.stdout == (
            "[base]\nanswer of base\n\n[beta]\nanswer of p-beta\n\n[acme]\nanswer of p-acme\n\n"
        )

    @pytest.mark.parametrize("fleet", [True, False])
    def test_somebody_has_to_be_asked(
        self, run: Callable[..., Result], runtime: FakeRuntime, fleet: bool
    ) -> None:
        assert (run("invoke", "Hello", fleet=fleet).exit_code, runtime.calls) == (2, [])


class TestStream:
    PIECES = ("Grüße", " an", "\nalle")
    LINES = b"".join(
        json.dumps({"token": {"text": text}, "generated_text": None}).encode() + b"\n" for text in PIECES
    )
    EVENTS = b": a comment\n\n" + b"".join(
        b"data: " + json.dumps({"choices": choices}).encode() + b"\n\n"
        for choices in [*([{"text": text}] for text in PIECES), []]
    )

    # The last line needs no line end.
    @pytest.mark.parametrize("stream", [LINES[:-1], EVENTS + b"data: [DONE]\n\n"], ids=["lines", "events"])
    def test_pieces_are_put_together_wherever_the_stream_cuts_them(
        self, runtime: FakeRuntime, stream: bytes
    ) -> None:
        parts = [stream[start : start + 7] for start in range(0, len(stream), 7)]
        runtime.reply = lambda call: Reply.stream(*parts)
        assert invoke("Hello", *ECTSUM, "--stream").stdout == "Grüße an\nalle\n"
        assert runtime.calls[0].path == "/endpoints/llm/invocations-response-stream"
        assert runtime.calls[0].body["stream"] is True

    @pytest.mark.parametrize(
        ("reply", "message"),
        [
            (Reply.stream(b'{"token": {"text": "beg"}}\n', failure="out of memory"), "out of memory"),
            (Reply.stream(b'{"error": "the engine died"}\n'), "the container reports: the engine died\n"),
        ],
    )
    def test_failure_in_the_middle_is_an_error(
        self, runtime: FakeRuntime, reply: Reply, message: str
    ) -> None:
        runtime.reply = lambda call: reply
        result = invoke("Hello", *ECTSUM, "--stream")
        assert (result.exit_code, message in result.stderr) == (1, True)


class TestErrors:
    def test_component_that_fails_does_not_hide_the_answers_of_others(self, runtime: FakeRuntime) -> None:
        refusal = {"OriginalStatusCode": 404, "OriginalMessage": "no such adapter"}
        replies = {"llm-base": Reply.text("fine"), "llm-ectsum": Reply.error(424, "ModelError", **refusal)}
        runtime.reply = lambda call: replies[call.component]
        result = invoke("Hello", *BASE, *ECTSUM)
        assert result.exit_code == 1
        assert result.stdout == "[llm-base]\nfine\n\n"
        assert result.stderr == "adapters: llm-ectsum: the container answered 404: no such adapter\n"

    @pytest.mark.timeout(20)
    def test_connection_cut_in_the_middle_of_a_stream_ends_with_an_error(self, runtime: FakeRuntime) -> None:
        whole = Reply.stream(b'{"token": {"text": "Hel"}}\n')
        headers = whole.headers | {"Content-Length": "9999", "Connection": "close"}
        runtime.reply = lambda call: Reply(whole.body[:-5], headers=headers)
        result = invoke("Hello", *BASE, "--stream", "--json")
        assert result.exit_code == 1
        assert json.loads(result.stdout)["answers"][0]["error"]

    def test_error_cannot_steer_the_terminal(self, runtime: FakeRuntime) -> None:
        runtime.reply = lambda call: Reply.error(400, "ValidationError", Message="\x1b]0;owned\x07")
        assert invoke("Hello", *ECTSUM).stderr == ("adapters: llm-ectsum: �]0;owned� (ValidationError)\n")
        (answer,) = json.loads(invoke("Hello", *ECTSUM, "--json").stdout)["answers"]
        assert answer["error"] == "\x1b]0;owned\x07 (ValidationError)"
        assert "text" not in answer

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"<html>", "the answer is not JSON: b'<html>'"),
            (b'{"choices": []}', "the answer is neither a completion nor in the schema of LMI containers"),
            (b'{"error": "too long", "code": 424}', "the container reports: too long"),
        ],
    )
    def test_answer_that_is_not_understood_is_shown(
        self, runtime: FakeRuntime, body: bytes, message: str
    ) -> None:
        runtime.reply = lambda call: Reply(body)
        result = invoke("Hello", *ECTSUM)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"adapters: llm-ectsum: {message}")

    def test_endpoint_that_cannot_be_reached_is_told(
        self, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        result = invoke("Hello", *ECTSUM)
        assert result.exit_code == 4
        assert "adapters: llm-ectsum: Could not connect to the endpoint URL" in result.stderr

    @pytest.mark.parametrize(
        "arguments",
        [["Hello"], ["Hello", *BASE, "--max-tokens", "0"], ["another", "Hello"], ["Hello", *BASE, "--base"]],
    )
    def test_wrong_usage_asks_nothing(self, runtime: FakeRuntime, arguments: list[str]) -> None:
        assert (invoke(*arguments).exit_code, runtime.calls) == (2, [])


@pytest.mark.parametrize(("columns", "beside"), [(100, True), (40, False)])
def test_answers_are_side_by_side_on_a_terminal_with_room_and_steer_nothing(
    runtime: FakeRuntime, terminal: Callable[..., list[str]], columns: int, beside: bool
) -> None:
    runtime.reply = lambda call: Reply.text(f"\x1b]0;by {call.component}\x07")
    asked = ("invoke", "Hello", "--endpoint", "llm", *BASE, *ECTSUM)
    lines = terminal(*asked, columns=columns, fleet=False)
    assert not any("\x1b]0;" in line for line in lines)
    assert any("by llm-base�" in line for line in lines)
    assert any("by llm-base�" in line and "by llm-ectsum�" in line for line in lines) is beside
