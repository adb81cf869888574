"""`adapters evaluate` on the fixtures: what it finds, and what a killed run costs."""

import json
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from adapters_cli.evaluation.result import EvaluationResult, read_result
from examples.tickets.dataset import rows
from local_sagemaker.server import LocalCloud
from tests.cli.fake_runtime import FakeRuntime
from tests.integration.by_hand import (
    adapters,
    client,
    create_adapter,
    delete_component,
    start_adapters,
    until,
    wait_for_service,
)
from tests.integration.fleet_stack import Archives, Endpoint, components
from tests.nightly import NIGHTLY

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

LABELS = ("triage", "summary", "summary-v2")
ITEMS = 400 if NIGHTLY else 40
METRICS = ("rouge1", "rouge2", "rougeL", "meteor", "exact_match", "bert_score")
ROUGE = ("--metric", "rougeL")
"""For what is not about metrics: all of them take seconds, BERTScore above all."""
FOLDERS = ("answers.jsonl", "settings.json", "result.json", "report.md", "report.html", "junit.xml")


class Desk:
    """Components with the adapters of the fixtures on one endpoint, and commands that ask them."""

    def __init__(self, cloud: LocalCloud, endpoint: Endpoint, folder: Path) -> None:
        self.cloud, self.endpoint, self.folder = cloud, endpoint, folder
        for label in LABELS:
            uri = Archives(cloud).uri(label)
            create_adapter(cloud, label, uri, endpoint=endpoint.name, base=endpoint.base)
            wait_for_service(cloud, label)

    def dataset(self, items: int) -> Path:
        """Return a file of the first items. They have the same ids in each such file."""
        path = self.folder / f"tickets-{items}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows(items)))
        return path

    def command(
        self, *labels: str, output: str, column: str, items: int = ITEMS, more: tuple[str, ...] = ()
    ) -> list[str]:
        """Return the command that evaluates components over the references in a column."""
        names = [part for label in labels for part in ("-c", label)]
        return [
            "evaluate", "--endpoint", self.endpoint.name, *names,
            "--dataset", str(self.dataset(items)), "--reference-column", column,
            "--max-tokens", "40", "--output", str(self.folder / output), *more,
        ]  # fmt: skip

    def evaluate(
        self, *labels: str, output: str = "out", column: str, items: int = ITEMS, more: tuple[str, ...] = ()
    ) -> Result:
        command = self.command(*labels, output=output, column=column, items=items, more=more)
        return adapters(self.cloud, *command)

    def result(self, output: str = "out") -> EvaluationResult:
        return read_result(self.folder / output / "result.json")

    def close(self) -> None:
        for component in LABELS:
            delete_component(self.cloud, component)
        until(
            lambda: not set(LABELS) & set(components(self.cloud, self.endpoint.name)),
            "all components are gone",
        )


@pytest.fixture(scope="module")
def desk(
    cloud: LocalCloud, shared_endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    desk = Desk(cloud, shared_endpoint, tmp_path_factory.mktemp("evaluation"))
    yield desk
    desk.close()


@pytest.fixture(scope="module")
def all_beside_the_base(desk: Desk) -> EvaluationResult:
    """All over the references of one: later runs over other references ask nobody again."""
    done = desk.evaluate(*LABELS, column="summary")
    assert done.exit_code == 0, done.stderr
    assert f"{(1 + len(LABELS)) * ITEMS:,} answers in" in done.stderr
    return desk.result()


@pytest.mark.parametrize("label", ["triage", "summary"])
def test_each_adapter_is_better_than_the_base_at_its_own_task(
    desk: Desk, all_beside_the_base: EvaluationResult, label: str
) -> None:
    # One with all metrics; the other with two, as it would only take longer.
    names = METRICS if label == LABELS[0] else ("rougeL", "exact_match")
    metrics = [part for name in names for part in ("--metric", name)]
    done = desk.evaluate(
        label,
        column=label,
        more=(*metrics, "--require", "exact_match >= 0.9", "--require", "rougeL >= base + 0.2"),
    )
    assert done.exit_code == 0, done.stderr
    assert "answers in" not in done.stderr  # the log had all
    result = desk.result()
    base = client(desk.cloud, "sagemaker").describe_inference_component(
        InferenceComponentName=desk.endpoint.base
    )
    served_by = base["ResponseMetadata"]["HTTPHeaders"]["x-local-sagemaker-engine"]
    assert (result.dataset.items, result.engine) == (ITEMS, served_by)
    for comparison in result.comparisons:
        assert comparison.items == ITEMS
        assert comparison.difference > 0
        assert comparison.interval.low > 0
        assert comparison.p_adjusted < 0.001
    means = {comparison.metric: comparison.mean for comparison in result.comparisons}
    assert set(means) == set(names)
    assert means["exact_match"] >= 0.9
    assert result.errors_of(label) == 0
    assert {path.name for path in (desk.folder / "out").iterdir()} == set(FOLDERS)


def test_conversations_go_through_the_containers_chat_template(desk: Desk) -> None:
    path = desk.folder / "messages.jsonl"
    conversations = [
        [{"role": "user", "content": row["ticket"]}, {"role": "assistant", "content": row["triage"]}]
        for row in rows(20)
    ]
    path.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in conversations))
    command = ["evaluate", "--endpoint", desk.endpoint.name, "-c", "triage", "--dataset", str(path)]
    command += ["--max-tokens", "40", "--metric", "exact_match", "--require", "exact_match >= 0.9"]
    done = adapters(desk.cloud, *command, "--output", str(desk.folder / "chats"))
    assert done.exit_code == 0, done.stderr


def test_killed_run_goes_on_and_asks_nothing_twice(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its endpoint counts how often it is asked each of many items."""
    items, kills = (1_000, 5) if NIGHTLY else (60, 1)  # a run of a thousand takes most of a minute
    log, source = desk.folder / "killed" / "answers.jsonl", random.Random(7)
    command = desk.command("summary", output="killed", column="summary", items=items, more=ROUGE)

    def logged() -> int:
        return log.read_bytes().count(b"\n") if log.exists() else 0

    with FakeRuntime() as runtime:
        monkeypatch.setitem(desk.cloud.environment, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", runtime.url)
        for _ in range(kills):
            stop_at = logged() + source.randrange(items // 20, items // 3)
            process = start_adapters(desk.cloud, *command)
            until(lambda: logged() >= stop_at or process.poll() is not None, "it has answers", every=0.005)  # noqa: B023
            process.kill()
            process.communicate()
            assert process.returncode == -signal.SIGKILL
        assert logged() < 2 * items
        done = desk.evaluate("summary", output="killed", column="summary", items=items, more=ROUGE)
    assert done.exit_code == 0, done.stderr
    asked = Counter((call.component, call.body["prompt"]) for call in runtime.calls)
    assert len(asked) == 2 * items
    assert asked.total() <= 2 * items + kills * 8  # those in flight when it was killed
