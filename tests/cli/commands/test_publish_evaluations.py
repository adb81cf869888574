"""Evaluations that `adapters publish` makes, stores and records."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from adapter_fleet.artifacts.packing import identity as identity_of
from adapter_fleet.evaluation.evaluation_record import EvaluationRecord, Figure
from adapters_cli.artifacts.evaluation_store import EvaluationStore
from adapters_cli.artifacts.version_evaluation import VersionEvaluator
from adapters_cli.evaluation.answer_log import open_log
from tests.adapter_fleet.fake_service import FakeClock, FakeService
from tests.cli.fake_runtime import Call, FakeRuntime, Reply
from tests.cli.publishing import BUCKET, World
from tests.fakes.s3 import FakeS3

ITEMS = 20
GATE = ["--evaluate-on", "base", "--metric", "exact_match"]
ON_BASE = ["--evaluate", "DATA", "--manifest", "fleet.yaml", "--evaluate-on", "base"]


@pytest.fixture
def service() -> FakeService:
    service = FakeService(FakeClock())
    service.add_base()
    return service


@pytest.fixture
def world(tmp_path: Path, service: FakeService) -> World:
    world = World(folder=tmp_path, s3=FakeS3(BUCKET), service=service)
    world.add("acme")
    return world


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / "test.jsonl"
    rows = [{"id": f"i{n}", "prompt": f"{n}", "reference": f"right {n}"} for n in range(ITEMS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class Answers:
    """What answers: how many of the items each adapter knows, by the beginning of its archive's key."""

    def __init__(self, runtime: FakeRuntime, service: FakeService) -> None:
        self.known: dict[str, int] = {"base": ITEMS // 4}
        self.asked: list[str] = []
        self._service = service
        self.runtime = runtime
        runtime.reply = self.reply

    def reply(self, call: Call) -> Reply:
        if call.component is None:  # the base's container, for the engine's name
            return Reply.error(400, "AccessDeniedException", Message="no")
        there = self._service.components[call.component]
        who = "base" if there.base is None else there.uri
        self.asked.append(who)
        number = int(call.body["prompt"])
        known = next((count for name, count in self.known.items() if name in who), ITEMS)
        return Reply.text(f"right {number}" if number < known else "wrong")


@pytest.fixture
def answers(
    aws_environment: None, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Answers]:
    with FakeRuntime() as runtime:
        monkeypatch.setenv("AWS_ENDPOINT_URL", runtime.url)
        yield Answers(runtime, service)


@pytest.fixture
def publish(world: World, dataset: Path, answers: Answers) -> Callable[..., Result]:
    def run(*options: str, data: Path = dataset) -> Result:
        return world.publish("--manifest", str(world.manifest), "--evaluate", str(data), *GATE, *options)

    return run


Publish = Callable[..., Result]


def evaluations(world: World) -> dict[str, EvaluationRecord | None]:
    return {adapter.name: adapter.evaluation for adapter in world.parsed().adapters}


def results(world: World) -> list[str]:
    return [key for key in world.s3.bodies(BUCKET) if key.endswith(".json")]


def test_result_is_stored_and_the_manifest_records_it(world: World, publish: Publish) -> None:
    result = publish("--require", "exact_match >= base + 20%")
    assert result.exit_code == 0, result.output
    record = evaluations(world)["acme"]
    assert record is not None
    assert record.figures == {"exact_match": Figure(base=0.25, adapter=1)}
    assert record.result.startswith(world.uri("acme").replace(".tar.gz", ".evaluations/"))
    stored = EvaluationStore(world.s3).read(record.result).evaluation  # type: ignore[arg-type]
    assert (stored.dataset.digest, stored.passed) == (record.dataset, True)
    assert stored.scores["exact_match"].subject == (1,) * ITEMS


def test_customers_texts_stay_here(world: World, publish: Publish) -> None:
    publish()
    (key,) = results(world)
    assert b"right 7" not in world.s3.bodies(BUCKET)[key]


def test_version_below_the_bar_fails_and_the_others_are_published(
    world: World, publish: Publish, answers: Answers
) -> None:
    world.add("beta")
    answers.known["/beta/"] = ITEMS // 4 + 1
    result = publish("--require", "exact_match >= base + 40%")
    assert result.exit_code == 1
    assert "beta: exact_match of 'beta' is 0.3 and should be at least 0.35 (base 0.25 + 40%)" in result.stderr
    assert "beta: its result is s3://my-adapters/prod/beta/sha256-" in result.stderr
    assert list(evaluations(world)) == ["acme"]
    assert len(results(world)) == 2


def test_entry_stays_at_the_last_good_version(world: World, publish: Publish, answers: Answers) -> None:
    require = ["--require", "exact_match >= 0.9"]
    publish(*require)
    before = world.manifest.read_text()
    world.add("acme", rank=16)
    answers.known["/acme/"] = 3
    assert publish(*require).exit_code == 1
    assert world.manifest.read_text() == before


def test_components_are_gone_and_the_base_model_is_asked_once(
    world: World, publish: Publish, service: FakeService, answers: Answers
) -> None:
    world.add("beta")
    publish()
    assert answers.asked.count("base") == ITEMS
    assert len(answers.asked) == 3 * ITEMS
    service.clock.sleep(60)
    assert list(service.serving()) == []


def test_adapter_with_the_name_of_the_base_is_not_compared_with_itself(
    world: World, publish: Publish, answers: Answers
) -> None:
    world.add("base")
    answers.known = {"/base/": 7, **answers.known}
    publish()
    record = evaluations(world)["base"]
    assert record is not None
    assert record.figures == {"exact_match": Figure(base=0.25, adapter=0.35)}


def test_version_that_is_evaluated_already_is_not_asked_again(
    world: World, publish: Publish, answers: Answers
) -> None:
    publish()
    text = world.manifest.read_text()
    answers.asked.clear()
    assert publish("--require", "exact_match >= 0.9").exit_code == 0
    assert (answers.asked, world.manifest.read_text(), len(results(world))) == ([], text, 1)
    result = publish("--require", "exact_match >= 1.1")
    assert (result.exit_code, answers.asked) == (1, [])
    assert "acme: exact_match of 'acme' is 1 and should be at least 1.1" in result.stderr


def test_version_that_was_evaluated_with_another_decoding_is_asked_again(
    world: World, publish: Publish, answers: Answers
) -> None:
    publish()
    answers.asked.clear()
    publish("--max-tokens", "7")
    record = evaluations(world)["acme"]
    assert record is not None
    assert (record.decoding, len(answers.asked)) == ("max_tokens=7, temperature=0", 2 * ITEMS)


@pytest.mark.parametrize("other", ["", ", base: another-base"])
def test_version_that_was_evaluated_beside_another_base_is_asked_again(
    world: World, publish: Publish, answers: Answers, other: str
) -> None:
    publish()
    text = world.manifest.read_text()
    world.manifest.write_text(text.replace(", base: base", other))
    answers.asked.clear()
    publish()
    assert len(answers.asked) == 2 * ITEMS
    assert world.manifest.read_text().count(" base: base") == 1


def test_new_version_without_an_evaluation_loses_the_old_one_with_a_note(
    world: World, publish: Publish
) -> None:
    publish()
    world.add("acme", rank=16)
    result = world.publish("--manifest", str(world.manifest))
    assert result.exit_code == 0
    assert "not evaluated, so that the manifest drops that of the earlier version: acme" in result.stderr
    assert evaluations(world) == {"acme": None}


def test_version_that_is_published_already_is_evaluated_without_an_upload(
    world: World, publish: Publish
) -> None:
    world.publish("--manifest", str(world.manifest))
    before = world.parsed().adapters[0]
    world.s3.calls.clear()
    assert publish().exit_code == 0
    (after,) = world.parsed().adapters
    assert (after.artifact, after.rank, before.evaluation) == (before.artifact, before.rank, None)
    assert after.evaluation is not None
    assert world.s3.writes == ["put_object"]  # the result


def test_version_that_is_evaluated_keeps_its_evaluation_when_it_is_published_without(
    world: World, publish: Publish
) -> None:
    publish()
    text = world.manifest.read_text()
    assert world.publish("--manifest", str(world.manifest)).exit_code == 0
    assert world.manifest.read_text() == text


def test_adapter_that_does_not_load_fails_alone(world: World, publish: Publish, service: FakeService) -> None:
    world.add("beta")
    service.faults.broken[world.uri("beta")] = "bad tensors"
    result = publish()
    assert (result.exit_code, "is Failed: bad tensors" in result.stderr) == (1, True)
    assert list(evaluations(world)) == ["acme"]


def test_interruption_keeps_what_has_passed(
    world: World, publish: Publish, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("beta", "gamma")
    evaluate = VersionEvaluator.evaluate

    def interrupted(self: VersionEvaluator, name: str, *arguments: Any) -> Any:
        if name == "beta":
            raise KeyboardInterrupt
        return evaluate(self, name, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(VersionEvaluator, "evaluate", interrupted)
        result = publish()
    assert result.exit_code == 130, result.output
    assert list(evaluations(world)) == ["acme"]
    assert "gamma: it was interrupted before its turn ended" in result.stderr
    answers.asked.clear()
    assert publish().exit_code == 0
    assert list(evaluations(world)) == ["acme", "beta", "gamma"]
    assert not [who for who in answers.asked if "/acme/" in who]


def test_answers_that_are_errors_fail_the_adapter(world: World, publish: Publish, answers: Answers) -> None:
    def failing(call: Call) -> Reply:
        if call.component is not None and call.component != "base" and call.body["prompt"] == "7":
            return Reply.error(400, "ValidationError", Message="too long")
        return answers.reply(call)

    answers.runtime.reply = failing
    result = publish()
    assert result.exit_code == 1
    assert "1 answer of its evaluation failed, such as: too long" in result.stderr


def test_metric_that_fails_on_an_answer_fails_the_adapter(
    world: World, publish: Publish, answers: Answers, tmp_path: Path
) -> None:
    world.add("beta")
    metric = tmp_path / "metric.py"
    metric.write_text("def strict(answer, reference):\n    return {'wrong': 0, reference: 1}[answer]\n")

    def odd(call: Call) -> Reply:
        reply = answers.reply(call)
        beta_is_asked = call.component is not None and "/beta/" in answers.asked[-1]
        return Reply.text("odd") if beta_is_asked else reply

    answers.runtime.reply = odd
    result = publish("--metric", f"python:{metric}:strict")
    assert (result.exit_code, "beta: 'python:" in result.stderr) == (1, True), result.output
    assert list(evaluations(world)) == ["acme"]


def test_output_of_another_command_ends_the_command_before_the_upload(
    world: World, publish: Publish, tmp_path: Path
) -> None:
    with open_log(tmp_path / "out"):
        result = publish("--evaluation-output", str(tmp_path / "out"))
    assert (result.exit_code, "another command evaluates into" in result.stderr) == (1, True)
    assert world.s3.writes == []


def test_reports_are_kept_where_they_are_asked_for(world: World, publish: Publish, tmp_path: Path) -> None:
    publish("--evaluation-output", str(tmp_path / "out"))
    assert "acme" in (tmp_path / "out" / "acme" / "report.md").read_text()
    assert (tmp_path / "out" / "acme" / "report.html").exists()


class TestNoWorseThanLast:
    @pytest.fixture(autouse=True)
    def first(self, world: World, publish: Publish, answers: Answers) -> None:
        answers.known["/acme/"] = 15
        result = publish("--no-worse-than", "last")
        assert result.exit_code == 0
        assert "acme: there is no version before this one" in result.stderr
        world.add("acme", rank=16)

    def test_version_that_lost_items_fails_with_the_interval(
        self, world: World, publish: Publish, answers: Answers
    ) -> None:
        answers.known["/acme/"] = 5
        before = world.manifest.read_text()
        result = publish("--no-worse-than", "last")
        assert result.exit_code == 1
        assert "exact_match of 'acme' is 0.25 over 20 items, and was 0.75 on " in result.stderr
        assert world.manifest.read_text() == before

    def test_version_that_lost_one_item_may_have_had_bad_luck(
        self, world: World, publish: Publish, answers: Answers
    ) -> None:
        answers.known["/acme/"] = 14
        assert publish("--no-worse-than", "last").exit_code == 0

    def test_version_that_others_named_meanwhile_is_not_replaced_without_a_comparison(
        self, world: World, publish: Publish, answers: Answers
    ) -> None:
        text = world.manifest.read_text()
        theirs = re.sub("sha256-[0-9a-f]{64}", f"sha256-{'c' * 64}", text)

        def meanwhile(call: Call) -> Reply:
            world.manifest.write_text(theirs)
            return answers.reply(call)

        answers.runtime.reply = meanwhile
        result = publish("--no-worse-than", "last")
        assert (result.exit_code, "names another version of acme by now" in result.stderr) == (1, True)
        assert world.manifest.read_text() == theirs

    def test_last_version_in_the_bucket_of_an_alias_is_known_by_its_digest(
        self, world: World, publish: Publish
    ) -> None:
        identity = identity_of(world.adapters / "acme")
        for digest, code, said in (
            (identity, 0, "updated"),  # the same version, which is only evaluated
            ("c" * 64, 1, "the bucket of its last version, acme.tar.gz, is not known here"),
        ):
            alias = {"bucket": "models", "key": "acme.tar.gz"}
            adapter = {"name": "acme", "artifact": alias, "digest": f"sha256:{digest}"}
            world.manifest.write_text(json.dumps({"adapters": [adapter]}))
            result = publish("--no-worse-than", "last")
            assert (result.exit_code, said in result.stderr) == (code, True), result.output

    def test_last_result_over_another_dataset_is_an_error_that_says_how_to_make_one(
        self, publish: Publish, dataset: Path, tmp_path: Path, answers: Answers
    ) -> None:
        other = tmp_path / "other.jsonl"
        other.write_text("".join(dataset.read_text().splitlines(keepends=True)[:10]))
        answers.asked.clear()
        result = publish("--no-worse-than", "last", data=other)
        assert result.exit_code == 1
        assert "should have a stored result over this dataset (sha256:" in result.stderr
        assert "run 'adapters evaluate acme' with the same options, and --store in place of" in result.stderr
        assert answers.asked == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--require", "exact_match > 0"], "are for --evaluate DATASET"),
        (["--evaluate", "DATA"], "an evaluation is recorded in a manifest"),
        (["--evaluate", "DATA", "--manifest", "fleet.yaml"], "where to evaluate? Give --evaluate-on"),
        (["--evaluate", "DATA", "--no-worse-than", "first"], "'--no-worse-than' should be 'last'"),
        (["--evaluate", "DATA", "--require", "rouge > 0"], "did you mean 'rouge"),
        (["--evaluate", "DATA", "--require", "rougeL"], "a requirement should be a metric"),
        ([*ON_BASE, "--metric", "json_fields"], "should have a JSON object with fields as every reference"),
        ([*ON_BASE, "--metric", f"regex:{'a' * 100}"], "a metric should have 1 to 100 characters"),
    ],
)
def test_options_that_do_not_fit_are_wrong_usage(
    world: World, dataset: Path, options: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    result = world.publish(*[str(dataset) if option == "DATA" else option for option in options])
    assert (result.exit_code, message in result.stderr) == (2, True), result.output
    assert world.s3.writes == []
