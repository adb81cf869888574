import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from adapters_cli.aws import engine_name as engine_module
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fake_runtime import Call, FakeRuntime, Reply
from tests.cli.fleet_account import FakeAccount

Run = Callable[..., Result]


@pytest.fixture
def runtime(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRuntime]:
    def reply(call: Call) -> Reply:
        content = {"choices": [{"text": f"{call.component} says {call.body['prompt']}"}]}
        return Reply(json.dumps({**content, "usage": {"prompt_tokens": 2, "completion_tokens": 5}}).encode())

    with FakeRuntime() as runtime:
        runtime.reply = reply
        monkeypatch.setenv("AWS_ENDPOINT_URL", runtime.url)
        monkeypatch.setattr(engine_module, "engine_name", lambda *_: "a fake")
        yield runtime


@pytest.fixture(autouse=True)
def deployed(world: World, account: FakeAccount, runtime: FakeRuntime) -> None:
    world.deploy(adapter("acme"), adapter("beta"))
    world.settle()


def test_base_and_adapters_are_asked_the_same(run: Run) -> None:
    result = run("compare", "acme", "beta", "Hello")
    assert result.exit_code == 0
    heads, answers = result.stdout.splitlines()[::3], result.stdout.splitlines()[1::3]
    assert [head.split()[0] for head in heads] == ["[base]", "[acme]", "[beta]"]
    assert all(head.endswith("s, 5 tokens") for head in heads)
    assert answers == ["base says Hello", "p-acme says Hello", "p-beta says Hello"]


def test_two_adapters_are_compared_without_the_base(run: Run) -> None:
    result = run("compare", "acme", "beta", "Hello", "--without-base")
    assert "[base]" not in result.stdout
    assert run("compare", "acme", "Hello", "--without-base").exit_code == 2


def test_prompt_that_is_forgotten_is_told(run: Run, runtime: FakeRuntime) -> None:
    result = run("compare", "acme")
    assert (result.exit_code, runtime.calls) == (2, [])
    assert "give adapters of the fleet and then the prompt, got only 'acme'" in result.stderr


def test_component_of_an_endpoint_is_compared_with_its_base(run: Run, runtime: FakeRuntime) -> None:
    run("compare", "endpoint", "Hello", "-c", "p-acme", fleet=False)
    assert {call.component for call in runtime.calls} == {"base", "p-acme"}


def test_prompt_can_come_from_a_file_or_standard_input(
    run: Run, runtime: FakeRuntime, tmp_path: Path
) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("Grüße\n")
    run("compare", "acme", "--file", path)
    run("compare", "acme", "-", stdin="from a pipe")
    run("compare", "acme", "--file", "-", stdin="from a pipe, too")
    prompts = [call.body["prompt"] for call in runtime.calls if call.component == "base"]
    assert prompts == ["Grüße\n", "from a pipe", "from a pipe, too"]


def test_json_has_every_answer_with_its_latency_and_tokens(run: Run) -> None:
    document = json.loads(run("compare", "acme", "Hello", "--json").stdout)
    assert document["prompt"] == "Hello"
    base, acme = document["answers"]
    assert (base["name"], acme["component"], acme["text"]) == ("base", "p-acme", "p-acme says Hello")
    assert (acme["prompt_tokens"], acme["completion_tokens"]) == (2, 5)
    assert acme["seconds"] > 0


def test_page_has_the_answers(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    result = run("compare", "acme", "Hello", "--html", path)
    assert f"the page is {path}" in result.stderr
    assert "a fake" in path.read_text()


def test_one_that_does_not_answer_is_told_beside_the_others(run: Run, runtime: FakeRuntime) -> None:
    answered = runtime.reply
    runtime.reply = lambda call: (
        Reply.error(424, "ModelError", OriginalStatusCode=500, OriginalMessage="out of memory")
        if call.component == "p-acme"
        else answered(call)
    )
    result = run("compare", "acme", "Hello")
    assert (result.exit_code, "base says Hello" in result.stdout) == (1, True)
    assert "adapters: acme: the container answered 500: out of memory" in result.stderr


def test_nobody_to_ask_has_an_exit_code_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert run("compare", "acme", "Hello").exit_code == 4
