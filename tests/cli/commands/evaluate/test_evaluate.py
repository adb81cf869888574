import json
import re
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_fleet.fleet.state.archive_version import ArchiveVersion
from adapter_fleet.fleet.state.components import Status
from adapters_cli.aws import engine_name as engine_module
from adapters_cli.evaluation import runner as runner_module
from adapters_cli.evaluation.result import read_result
from adapters_cli.evaluation.runner import Runner
from tests.adapter_fleet.fleet_world import World, adapter, artifact
from tests.cli.fake_runtime import Call, FakeRuntime, Reply
from tests.cli.fleet_account import FakeAccount, Run

ITEMS = 20
WORDS = ("red", "green", "blue", "black")
NAMES = {"acme": "p-acme", "beta": "p-beta"}


@pytest.fixture
def runtime(runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    """Adapter `acme` says what it is asked to, the base model does so every fourth time, `beta` never."""

    def reply(call: Call) -> Reply:
        prompt = call.body["prompt"] if "prompt" in call.body else call.body["messages"][-1]["content"]
        number, words = re.fullmatch(r"(\d+): say (.*)", prompt).groups()  # type: ignore[union-attr]
        right = call.component == "p-acme" or (call.component == "base" and int(number) % 4 == 0)
        text = words if right else "no idea"
        usage = {"usage": {"prompt_tokens": 3, "completion_tokens": len(text.split())}}
        choice = {"text": text} if "prompt" in call.body else {"message": {"content": text}}
        return Reply(json.dumps({"choices": [choice], **usage}).encode())

    runtime.reply = reply
    monkeypatch.setattr(engine_module, "engine_name", lambda *_: "a fake")
    monkeypatch.setattr(runner_module, "_FIRST_PAUSE_SECONDS", 0.001)
    return runtime


@pytest.fixture(autouse=True)
def deployed(world: World, account: FakeAccount, runtime: FakeRuntime) -> None:
    world.apply(adapter("acme"), adapter("beta"))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / "dataset.jsonl"
    rows = [
        {"id": f"i{number}", "prompt": f"{number}: say {text}", "reference": text}
        for number in range(ITEMS)
        for text in [f"{WORDS[number % 4]} and {WORDS[number // 4 % 4]}"]
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def evaluate(run: Run, dataset: Path, tmp_path: Path) -> Run:
    def evaluate(*arguments: str, **options: Any) -> Result:
        where = ["--dataset", str(dataset), "--output", str(tmp_path / "out")]
        metrics = [] if "--metric" in arguments else ["--metric", "exact_match"]
        return run("evaluate", *arguments, *where, *metrics, **options)

    return evaluate


def asked(runtime: FakeRuntime) -> Counter[str]:
    return Counter(call.component for call in runtime.calls)


def test_adapters_are_compared_with_their_base_model(
    evaluate: Run, runtime: FakeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters_cli.evaluation.evaluation._SLOW_TO_SCORE", 3 * ITEMS)
    result = evaluate("acme", "beta", "--max-tokens", "9")
    assert result.exit_code == 0, result.stderr
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[:6] for row in rows] == [
        ["acme", "exact_match", "0.25", "1", "0.75", "3"],
        ["beta", "exact_match", "0.25", "0", "-0.25", "-1"],
    ]
    assert [row[9:] for row in rows] == [["better", "15", "0", "5"], ["unclear", "0", "5", "15"]]
    assert asked(runtime) == {"base": ITEMS, "p-acme": ITEMS, "p-beta": ITEMS}
    assert "scoring 60 answers by 1 metric" in result.stderr
    assert re.search(r"60 answers in [\d.]+ s", result.stderr)
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"answers.jsonl", "settings.json", "result.json", "report.md", "report.html", "junit.xml"}
    found = read_result(tmp_path / "out" / "result.json")
    assert (found.endpoint, found.engine, found.baseline.component) == ("endpoint", "a fake", "base")
    assert {subject.name: subject.component for subject in found.subjects} == NAMES
    assert (found.dataset.items, found.decoding.max_tokens) == (ITEMS, 9)
    assert found.items[1].answers["acme"].text == "green and red"
    scores = {"base": 0, "acme": 1, "beta": 0}
    assert found.items[1].scores == {name: {"exact_match": score} for name, score in scores.items()}


def test_requirement_that_is_not_met_ends_with_1_and_the_reason(evaluate: Run) -> None:
    met = evaluate("acme", "--require", "exact_match >= base + 20%")
    assert (met.exit_code, "met: exact_match of 'acme' is 1" in met.stderr) == (0, True)
    document = json.loads(evaluate("acme", "--require", "exact_match >= base + 20%", "--json").stdout)
    assert (document["comparisons"][0]["mean"], document["passed"], "items" in document) == (1, True, False)
    failed = evaluate("acme", "beta", "--require", "exact_match >= 0.9")
    assert failed.exit_code == 1
    assert "adapters: not met: exact_match of 'beta' is 0 and should be at least 0.9" in failed.stderr


def test_adapters_of_two_tasks_have_references_requirements_and_reports_of_their_own(
    evaluate: Run, runtime: FakeRuntime, dataset: Path, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in dataset.read_text().splitlines()]
    for number, row in enumerate(rows):
        row["length" if number % 2 else "colour"] = row.pop("reference")
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = ("--reference-column", "acme=colour", "--reference-column", "beta=length")
    rules = ("--require", "acme=exact_match >= base + 0.5", "--require", "beta=exact_match >= 0.9")
    result = evaluate("acme", "beta", *columns, *rules)
    assert result.exit_code == 1
    assert "met: exact_match of 'acme' is 1" in result.stderr
    assert "not met: exact_match of 'beta' is 0" in result.stderr
    assert "not met: exact_match of 'acme'" not in result.stderr
    assert asked(runtime) == {"base": ITEMS, "p-acme": ITEMS / 2, "p-beta": ITEMS / 2}
    for name, passed in (("acme", True), ("beta", False)):
        found = read_result(tmp_path / "out" / name / "result.json")
        assert ([subject.name for subject in found.subjects], found.passed) == ([name], passed)
    document = json.loads(evaluate("acme", "beta", *columns, *rules, "--json").stdout)
    assert [one["passed"] for one in document["evaluations"].values()] == [True, False]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--reference-column", "a", "--reference-column", "b"], "one column for each adapter"),
        (["--reference-column", "amce=colour"], "did you mean 'acme'?"),
        (["--reference-column", "acme="], "should be COLUMN or NAME=COLUMN"),
        (["--reference-column", "acme=a", "--against", "beta"], "give its --reference-column without a name"),
        (["--require", "exact_match >= 90"], "did you mean 90 %?"),
        (["--require", "beta=exact_match >= 0.9"], "an adapter with a '--reference-column' of its own"),
        (["--require", "acme: exact_match >= 0.9"], "write 'exact_match >= 0.9', which is for every adapter"),
        (["--require", "latency < 200ms"], "times are for `adapters benchmark --require`"),
        (["--dataset", "other.jsonl"], "--dataset takes one value, got 2"),
    ],
)
def test_options_that_would_score_by_something_else_are_refused_before_anything_is_asked(
    evaluate: Run, runtime: FakeRuntime, options: list[str], error: str
) -> None:
    result = evaluate("acme", *options)
    assert (result.exit_code, runtime.calls) == (2, [])
    assert error in result.stderr


def test_run_with_other_settings_says_which(evaluate: Run) -> None:
    assert evaluate("acme", "--max-tokens", "9").exit_code == 0
    result = evaluate("acme", "--max-tokens", "8")
    assert "max_tokens was 9 and is 8, so that answers of earlier runs are asked again" in result.stderr


def test_empty_references_are_told(evaluate: Run, dataset: Path) -> None:
    with dataset.open("a") as file:
        file.write('{"id": "empty", "prompt": "20: say nothing", "reference": ""}\n')
    assert "1 item with an empty reference: only no answer is right there" in evaluate("acme").stderr


def test_metric_that_fails_names_the_item(evaluate: Run, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def f(answer, reference): return 1 / (reference != 'green and red')\n")
    result = evaluate("acme", "--metric", f"python:{tmp_path}/own.py:f")
    assert result.exit_code != 0
    assert "failed (ZeroDivisionError: division by zero) for item i1, answered by" in result.stderr


def test_interrupted_command_says_how_to_go_on(
    evaluate: Run, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(self: Runner, questions: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Runner, "run", interrupted)
        result = evaluate("acme")
    assert result.exit_code == 130
    assert f"the answers so far are in {tmp_path / 'out' / 'answers.jsonl'}" in result.stderr
    assert evaluate("acme").exit_code == 0


class TestErrors:
    def test_answer_that_is_an_error_ends_with_1(self, evaluate: Run, runtime: FakeRuntime) -> None:
        answered = runtime.reply

        def reply(call: Call) -> Reply:
            if call.component == "p-acme" and call.body["prompt"].startswith("7:"):
                return Reply.error(424, "ModelError", OriginalStatusCode=500, OriginalMessage="out of memory")
            return answered(call)

        runtime.reply = reply
        result = evaluate("acme")
        assert result.exit_code == 1
        assert "1 answer failed; the same command asks them again" in result.stderr
        assert "acme, item i7: the container answered 500: out of memory" in result.stderr
        runtime.reply = answered
        runtime.calls.clear()
        assert evaluate("acme").exit_code == 0
        assert asked(runtime) == {"p-acme": 1}

    def test_component_that_changes_meanwhile_is_an_error(
        self, evaluate: Run, runtime: FakeRuntime, world: World
    ) -> None:
        answered = runtime.reply

        def reply(call: Call) -> Reply:
            world.service.components["p-acme"].uri = "s3://bucket/acme/v2.tar.gz"
            return answered(call)

        runtime.reply = reply
        result = evaluate("acme")
        assert result.exit_code == 1
        assert "acme changed meanwhile" in result.stderr


class TestTwoVersions:
    def test_earlier_version_gets_a_temporary_component(
        self, evaluate: Run, runtime: FakeRuntime, world: World
    ) -> None:
        world.apply(adapter("acme", 2), adapter("beta"))
        world.service.uid = None  # the caller may delete what the fleet does not own
        before = set(world.service.components)
        result = evaluate("acme", "--against", "v1.tar.gz")
        assert result.exit_code == 0, result.stderr
        assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["acme", "acme@v1.tar.gz"]
        assert (
            "met: exact_match of 'acme' is 1 over 20 items, and that of 'acme@v1.tar.gz' is 0"
            in result.stderr
        )
        (temporary,) = (name for name in asked(runtime) if name.startswith("preview-"))
        assert set(asked(runtime)) == {"base", "p-acme", temporary}
        component = world.service.components.pop(temporary)
        assert (component.status, component.uri) == (Status.DELETING, "s3://bucket/acme/v1.tar.gz")
        assert set(world.service.components) == before
        runtime.calls.clear()
        assert evaluate("acme", "--against", "v1.tar.gz").stdout == result.stdout
        assert runtime.calls == []

    def test_archive_that_was_replaced_under_its_key_is_asked_again(
        self, evaluate: Run, runtime: FakeRuntime, world: World
    ) -> None:
        world.service.uid = None
        uri = "s3://bucket/acme/latest.tar.gz"
        evaluate("acme", "--against", uri)
        runtime.calls.clear()
        world.service.archives[uri] = ArchiveVersion(uri=uri, etag="another", size=1, modified=1.0)
        evaluate("acme", "--against", uri)
        assert list(asked(runtime).values()) == [ITEMS]


def test_adapter_may_have_the_name_of_the_base(
    evaluate: Run, world: World, account: FakeAccount, tmp_path: Path
) -> None:
    base = replace(adapter("base"), artifact=artifact("base", digest="d" * 64))
    world.apply(adapter("acme"), adapter("beta"), base)
    evaluate("base")
    result = read_result(tmp_path / "out" / "result.json")
    assert result.subjects[0].identity == "d" * 64
    names = {subject.name: subject.component for subject in (result.baseline, *result.subjects)}
    assert names == {"base model": "base", "base": "p-base"}


def test_component_of_an_endpoint_is_compared_with_its_base(evaluate: Run, runtime: FakeRuntime) -> None:
    result = evaluate("--endpoint", "endpoint", "-c", "p-acme", fleet=False)
    assert (result.exit_code, result.stdout.split("\t")[0]) == (0, "p-acme")
    assert asked(runtime) == {"base": ITEMS, "p-acme": ITEMS}


def test_conversations_are_sent_as_a_chat(evaluate: Run, runtime: FakeRuntime, dataset: Path) -> None:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "0: say red and red"}]
    dataset.write_text(json.dumps({"messages": messages, "reference": "red and red"}))
    assert evaluate("acme", "--stop", "\n").exit_code == 0
    [body] = [call.body for call in runtime.calls if call.component == "p-acme"]
    assert body == {"messages": messages, "max_tokens": 256, "temperature": 0.0, "stop": ["\n"]}


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["acme", "beta", "--against", "beta"], 2, "--against is for one adapter, got 2"),
        (["acme", "--against", "acme"], 2, "'--against' should be another version or component"),
        (["acme", "--against", "s3://bucket/acme/v1.tar.gz"], 1, "acme serves version v1.tar.gz itself"),
        (["acme", "--against", "v7"], 1, "'--against' should be a version of acme"),
        (["acme", "--against", "base"], 2, "'--against' should be no base model"),
        (["acme", "--require", "exact_macth > 0.5"], 2, "did you mean 'exact_match'?"),
        (["acme", "--template", "{promt}"], 2, "did you mean 'prompt'?"),
        (["nobody"], 1, "the fleet has no adapter 'nobody'"),
        ([], 2, "which adapter? Give adapters of the fleet\n"),
        (["-c", "base"], 1, "base is no adapter"),
        (["acme", "--to", "s3://my-adapters/prod"], 2, "--on, --to and --base-model are for the path"),
    ],
)
def test_mistake_is_reported_before_anything_is_asked(
    evaluate: Run, runtime: FakeRuntime, arguments: list[str], code: int, problem: str
) -> None:
    result = evaluate(*arguments)
    assert (result.exit_code, problem in result.stderr) == (code, True), result.stderr
    assert runtime.calls == []


@pytest.mark.parametrize("module", ["numpy", "jinja2", "rouge_score"])
def test_library_that_is_not_installed_is_wrong_usage_before_anything_is_asked(
    evaluate: Run, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    for loaded in [
        name for name in sys.modules if name.startswith(("adapters_cli.evaluation.metrics.", module))
    ]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    result = evaluate("acme", "--metric", "rouge1")
    assert (result.exit_code, f"the library '{module}' should be installed" in result.stderr) == (2, True)
    assert runtime.calls == []
