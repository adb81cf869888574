"""`adapters evaluate PATH`: an adapter that no component serves yet."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from adapters_cli.evaluation.result import read_result
from tests.adapter_fleet.fake_service import FakeService
from tests.cli.fake_runtime import Call, FakeRuntime, Reply
from tests.cli.publishing import BUCKET, DESTINATION, World

ITEMS = 20
LIVE = "llm-acme"


@pytest.fixture
def service(service: FakeService) -> FakeService:
    service.make(LIVE, f"s3://{BUCKET}/prod/acme/live.tar.gz")
    service.clock.sleep(60)
    return service


@pytest.fixture
def known(runtime: FakeRuntime) -> dict[str, int]:
    """How many of the items each component knows, by the beginning of its name."""
    known = {"base": 5, "preview-": ITEMS, LIVE: 15}

    def reply(call: Call) -> Reply:
        if call.component is None:  # the base's container, for the engine's name
            return Reply.error(400, "AccessDeniedException", Message="no")
        number = int(call.body["prompt"])
        knows = next(count for name, count in known.items() if call.component.startswith(name))
        return Reply.text(f"right {number}" if number < knows else "wrong")

    runtime.reply = reply
    return known


@pytest.fixture
def evaluate(depot: World, tmp_path: Path) -> Callable[..., Result]:
    dataset = tmp_path / "test.jsonl"
    rows = [{"id": f"i{n}", "prompt": f"{n}", "reference": f"right {n}"} for n in range(ITEMS)]
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def evaluate(*options: str) -> Result:
        where = ["--on", "base", "--to", DESTINATION]
        what = ["--dataset", str(dataset), "--metric", "exact_match", "--output", str(tmp_path / "out")]
        return depot.run("evaluate", depot.adapters / "acme", *where, *what, *options)

    return evaluate


Evaluate = Callable[..., Result]


@pytest.mark.slow
def test_adapter_runs_beside_its_base_for_the_time_and_a_second_run_brings_nothing_up(
    evaluate: Evaluate, known: dict[str, int], depot: World, service: FakeService, tmp_path: Path
) -> None:
    done = evaluate("--require", "exact_match >= base + 0.5")
    assert done.exit_code == 0, done.output
    assert done.stdout.split("\t")[1:4] == ["exact_match", "0.25", "1"]
    assert list(depot.s3.bodies(BUCKET)) == [depot.key("acme")]
    (subject,) = read_result(tmp_path / "out" / "result.json").subjects
    assert (subject.name, subject.artifact) == (f"acme@{subject.identity[:12]}", depot.uri("acme"))  # type: ignore[index]
    service.clock.sleep(60)
    assert list(service.serving()) == [LIVE]
    writes = list(service.written)
    done = evaluate()
    assert (done.exit_code, service.written) == (0, writes)
    assert "40 answers of an earlier run" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("knows", "code"), [(14, 0), (2, 1)])
def test_version_that_is_worse_than_the_live_one_ends_with_1(
    evaluate: Evaluate, known: dict[str, int], tmp_path: Path, knows: int, code: int
) -> None:
    known["preview-"] = knows
    # The live version meets no requirement itself.
    known[LIVE] = 13
    done = evaluate("--against", LIVE, "--require", "exact_match <= 0.7")
    assert done.exit_code == code, done.output
    assert "and that of 'llm-acme' is 0.65; the difference's 95 % interval" in done.stderr
    result = read_result(tmp_path / "out" / "result.json")
    outcomes = {outcome.requirement: outcome.met for outcome in result.requirements}
    assert outcomes == {"exact_match <= 0.7": True, "exact_match: no worse than llm-acme": code == 0}
    assert [comparison.baseline_mean for comparison in result.comparisons] == [0.25, 0.25]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["beta"], "an adapter that is not published is evaluated alone"),
        (["-c", LIVE], "an adapter that is not published is evaluated alone"),
        (["--endpoint", "endpoint"], "--on says where"),
    ],
)
def test_options_that_do_not_fit_are_wrong_usage(
    evaluate: Evaluate, options: list[str], message: str
) -> None:
    done = evaluate(*options)
    assert (done.exit_code, message in done.stderr) == (2, True), done.output
