"""`adapters describe`: all that is known of one adapter."""

# ruff: noqa: N803 - the names are those of boto3

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from adapter_fleet.evaluation import EvaluationBar, EvaluationRecord, Figure, evaluations_folder
from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings, ReleaseSettings
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, Probe
from adapters_cli.fleets.base_component import NO_COPY
from tests.adapter_fleet.fake_service import answer_of
from tests.adapter_fleet.fleet_world import World, adapter, artifact, released
from tests.cli.fleet_account import FakeAccount, Run
from tests.fakes import FakeClient, client_error

# The address of the runtime depends on the region.
pytestmark = pytest.mark.usefixtures("aws_environment")

IDENTITY = "ab" * 32
URI = f"s3://bucket/acme/sha256-{IDENTITY}.tar.gz"
RECORD = EvaluationRecord(
    result=f"{evaluations_folder(URI, IDENTITY)}20260301T093000Z-{'d' * 12}.json",
    dataset="d" * 64,
    at="2026-03-01T09:30:00Z",
    figures={"rougeL": Figure(base=0.2, adapter=0.5), "exact_match": Figure(base=0, adapter=0.9)},
    base="base",
    decoding="max_tokens=64, temperature=0",
)


class FakeCloudWatch:
    """The metrics of the adapter acme, two minutes of each."""

    values: Mapping[str, tuple[float, float]] = {}
    refusal: str | None = None
    status = "Complete"

    def read(self, *, MetricDataQueries: Any, StartTime: datetime, EndTime: datetime) -> Iterator[Any]:
        assert (EndTime - StartTime).total_seconds() == 3600
        if self.refusal is not None:
            raise client_error(self.refusal, "not authorized")
        for query in MetricDataQueries:
            metric, stat = query["MetricStat"]["Metric"], query["MetricStat"]["Stat"]
            (dimension,) = metric["Dimensions"]
            assert (dimension["Name"], dimension["Value"][:6]) == ("InferenceComponentName", "p-acme")
            values = self.values.get(f"{metric['MetricName']} {stat}", ())
            times = [EndTime - timedelta(minutes=ago) for ago in range(len(values))]
            result = {"Id": query["Id"], "Values": values, "Timestamps": times, "StatusCode": self.status}
            yield {"MetricDataResults": [result]}


@pytest.fixture(autouse=True)
def metrics(account: FakeAccount) -> FakeCloudWatch:
    found = FakeCloudWatch()
    account.clients["cloudwatch"] = FakeClient(pages={"get_metric_data": found.read})
    return found


def evaluated(evaluation: EvaluationRecord | None = RECORD, **more: Any) -> DesiredAdapter:
    artifact = Artifact(uri=URI, digest=IDENTITY, evaluation=evaluation)
    return replace(adapter("acme"), artifact=artifact, rank=8, tags={"team": "a"}, **more)


def described(run: Run, name: str = "acme") -> dict[str, Any]:
    result = run("describe", name, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_adapter_is_described_for_people(run: Run, world: World) -> None:
    world.apply(evaluated())
    result = run("describe", "acme")
    assert result.exit_code == 0, result.output
    lines = [line.split(None, 1) for line in result.stdout.splitlines()]
    assert [label for label, *_ in lines][:8] == [
        "adapter", "component", "endpoint", "base", "fleet", "owner", "state", "serving",
    ]  # fmt: skip
    said = dict(line for line in lines if len(line) == 2)
    expected = {
        "component": "p-acme",
        "endpoint": "endpoint",
        "base": "base",
        "serving": "abababababab",
        "archive": URI,
        "tags": "team = a",
        "owner": "a",
        "evaluation": "exact_match 0.9 (base 0), rougeL 0.5 (base 0.2)",
        "result": RECORD.result,
    }
    assert {label: said[label] for label in expected} == expected
    assert f"on 2026-03-01T09:30:00Z over sha256:{'d' * 12}\n" in result.stdout
    assert said["invocations"].endswith("/endpoints/endpoint/invocations")
    assert said["base_url"].endswith("/endpoints/endpoint/inference-components/p-acme/openai/v1")
    document = described(run)
    assert document["serving"]["evaluation"] == document["evaluation"]["recorded"]
    assert (document["evaluation"]["version"], document["evaluation"]["required"]) == (IDENTITY[:12], None)
    assert (document["state"], document["rank"], document["tags"]) == ("in service", 8, {"team": "a"})


def test_evaluation_that_was_recorded_later_is_shown(run: Run, world: World) -> None:
    """A manifest that only adds an evaluation changes no component."""
    world.apply(evaluated(None))
    writes = len(world.service.written)
    world.apply(evaluated())
    assert len(world.service.written) == writes
    assert described(run)["evaluation"]["recorded"]["result"] == RECORD.result


@pytest.mark.parametrize(
    ("bar", "said"),
    [
        (EvaluationBar(requirements=("rougeL >= base + 20%",)), "met: rougeL >= base + 20%"),
        (EvaluationBar(requirements=("rougeL >= 0.6",)), "would not take it as a new version: rougeL of"),
        (EvaluationBar(requirements=("rougeL >= 0.6",), exempt=("acme",)), "exempt from rougeL >= 0.6"),
    ],
)
def test_gate_of_the_fleet_is_told(run: Run, world: World, bar: EvaluationBar, said: str) -> None:
    world.with_settings(FleetSettings(evaluation=bar))
    world.apply(evaluated())
    assert said in run("describe", "acme").stdout


def test_failed_adapter_is_told_with_its_reason_and_both_versions(run: Run, world: World) -> None:
    world.apply(adapter("acme"))
    world.service.faults.broken[URI] = "bad tensors"
    world.apply(evaluated())
    document = described(run)
    assert "bad tensors" in document["reason"]
    assert document["serving"]["uri"] != document["declared"]["uri"] == URI
    # The version that serves was never evaluated.
    assert document["evaluation"]["recorded"] is None
    assert document["history"] == json.loads(run("history", "acme", "--json").stdout)["events"]


def test_last_reason_is_told_of_an_adapter_in_service(run: Run, world: World) -> None:
    world.apply(adapter("acme"))
    world.apply(evaluated())
    assert run("rollback", "acme").exit_code == 0
    world.settle()
    assert run("rollback", "acme", "--undo").exit_code == 0
    world.settle()
    document = described(run)
    assert (document["reason"], document["last_reason"]) == (None, "the rollback is taken back")
    assert "last reason  the rollback is taken back" in run("describe", "acme").stdout


@pytest.mark.parametrize(
    ("tags", "owner"), [({"owner": "jane", "team": "a"}, "jane"), ({"tier": "gold"}, None)]
)
def test_owner_is_that_of_the_tags_also_of_the_fleet_s(
    run: Run, world: World, tags: dict[str, str], owner: str | None
) -> None:
    world.target = replace(world.target, tags={"stage": "prod"})
    world.apply(replace(evaluated(), tags=tags))
    document = described(run)
    assert (document["owner"], document["tags"]) == (owner, {"stage": "prod"} | tags)
    assert ("\nowner " in run("describe", "acme").stdout) is (owner is not None)


def test_probe_and_proof_are_told(run: Run, world: World) -> None:
    probe = Probe(prompt="Who?", answer=answer_of(URI, "Who?")[:20])
    world.apply(replace(evaluated(), artifact=Artifact(uri=URI, digest=IDENTITY, probe=probe)))
    said = run("describe", "acme").stdout
    assert "probe        'Who?' begins with " in said
    assert "proof        it answered its probe" in said


def test_component_that_somebody_deleted_is_missing_and_ends_with_1(run: Run, world: World) -> None:
    world.apply(adapter("acme", probed=True))
    described = run("describe", "acme")
    assert described.exit_code == 0
    assert "last asked" in described.stdout
    world.service.remove("p-acme")
    described = run("describe", "acme")
    assert described.exit_code == 1
    assert "state        missing" in described.stdout
    world.service.faults.denied = True
    described = run("describe", "acme")
    assert described.exit_code == 0
    assert "not compared with SageMaker's component: AccessDeniedException" in described.stderr


def test_version_with_a_share_is_shown_beside_the_one_that_answers_the_others(
    run: Run, world: World, metrics: FakeCloudWatch
) -> None:
    metrics.values = {"Invocations Sum": (30, 0)}
    world.with_settings(replace(world.settings, releases=ReleaseSettings()))
    for version in ("1", "2"):
        artifact = Artifact(uri=f"s3://bucket/v{version}.tar.gz", digest=version * 64)
        world.apply(replace(adapter("acme"), artifact=artifact, percent=5))
    document = described(run)
    assert (document["component"], document["percent"]) == ("p-acme-11111111", 95)
    assert (document["beside"]["component"], document["beside"]["percent"]) == ("p-acme-22222222", 5)
    text = run("describe", "acme").stdout
    assert "p-acme-11111111, for 95 % of the callers" in text
    assert "beside       p-acme-22222222, in service: it answers 5 % of the callers, 111111111111 the" in text
    assert "             last hour: 30 requests, 0 errors" in text


def test_first_version_that_is_yet_to_come_is_beside_no_other(run: Run, world: World) -> None:
    world.with_settings(replace(world.settings, releases=ReleaseSettings()))
    world.deploy(released("acme", 1))
    text = run("describe", "acme").stdout
    assert "p-acme-11111111" in text
    assert "beside" not in text


def test_probe_is_that_of_the_version_that_is_shown(run: Run, world: World) -> None:
    world.with_settings(replace(world.settings, releases=ReleaseSettings()))
    for version in (1, 2):
        made = released("acme", version)
        probe = Probe(prompt="Who?", answer=answer_of(made.artifact.uri, "Who?"))
        world.apply(replace(made, artifact=replace(made.artifact, probe=probe)))
    for version in (1, 2):
        assert (
            f"v{version}.tar.gz"
            in described(run, f"acme@{version}{version}{version}{version}")["probe"]["answer"]
        )


def test_requests_of_the_last_hour_are_told_where_metrics_may_be_read(
    run: Run, world: World, metrics: FakeCloudWatch
) -> None:
    world.apply(evaluated())
    errors = {"Invocation4XXErrors Sum": (2, 0), "Invocation5XXErrors Sum": (0, 1)}
    latency = {"ModelLatency Sum": (3e6, 1e6), "ModelLatency p99": (4e5, 2e6)}
    metrics.values = {"Invocations Sum": (30, 10), **errors, **latency}
    expected = {"requests": 40, "client_errors": 2, "server_errors": 1}
    assert described(run)["last_hour"] == expected | {"mean_seconds": 0.1, "p99_seconds": 2.0}
    said = run("describe", "acme").stdout
    assert "last hour    40 requests, 3 errors, mean 100ms, p99 2.0s" in said
    for metrics.status, metrics.refusal in (("InternalError", None), ("Complete", "AccessDenied")):
        result = run("describe", "acme")
        assert (result.exit_code, "last hour" in result.stdout) == (0, False)
        assert "the metrics of p-acme cannot be read" in result.stderr


def test_base_without_a_copy_is_told_and_a_lost_one_ends_with_1(run: Run, world: World) -> None:
    world.apply(adapter("acme"))
    world.service.copies = 0
    result = run("describe", "acme")
    assert (result.exit_code, result.output.splitlines()[0]) == (0, f"adapters: {NO_COPY}")
    assert json.loads(run("describe", "acme", "--json").stdout)["copies"] == 0
    del world.service.components["base"]
    outage = "the base component 'base' is not there; no adapter answers before it is deployed again"
    result = run("describe", "acme")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, f"adapters: {outage}")
    assert json.loads(run("describe", "acme", "--json").stdout)["base_outage"] == outage


def test_lines_fit_a_terminal_and_addresses_stay_whole(
    terminal: Callable[..., list[str]], world: World
) -> None:
    world.service.faults.broken[URI] = '{"code":424,"message":"' + "size mismatch of lora_A " * 5 + '"}'
    world.with_settings(FleetSettings(failures=FailureLimit(count=1)))
    world.apply(evaluated())
    lines = terminal("describe", "acme")
    assert lines[lines.index("declared at") + 1] == f"  {URI}"
    assert all(len(line) <= 80 for line in lines if "://" not in line)
    reason = next(number for number, line in enumerate(lines) if line.startswith("reason"))
    assert lines[reason + 1].startswith(f"{'':13}")


def test_version_that_a_rollback_has_restored_is_no_earlier_one(run: Run, world: World) -> None:
    for version in (1, 2):
        world.apply(adapter("acme", version))
    run("rollback", "acme")
    world.settle()
    lines = run("describe", "acme").stdout.splitlines()
    labels = [line.split("  ")[0] for line in lines]
    assert (labels.count("archive"), labels.count("earlier")) == (1, 0)
    assert f"declared at  {artifact('acme', 2).uri}" in lines
    assert "reason       rolled back from v2.tar.gz" in lines


def test_adapter_whose_row_cannot_be_read_says_why(run: Run, world: World) -> None:
    world.apply(adapter("acme"))
    why = world.registry.spoil("records", "p-acme")
    result = run("describe", "acme")
    assert (result.exit_code, why in result.stdout) == (0, True)


class TestComponent:
    """A component, of whatever fleet or of none."""

    @pytest.fixture(autouse=True)
    def deployed(self, world: World) -> None:
        world.apply(adapter("acme"))

    def test_adapter_has_the_address_and_the_name_of_its_component(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for address in ("https://runtime.sagemaker.eu-central-1.amazonaws.com", "https://127.0.0.1:4566"):
            found = json.loads(run("describe", "-c", "p-acme", "--json", fleet=False).stdout)
            below = f"{address}/endpoints/endpoint/inference-components"
            assert (found["endpoint"], found["base"]) == ("endpoint", "base")
            assert (found["base_url"], found["model"]) == (f"{below}/p-acme/openai/v1", "p-acme")
            monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:4566/")

    def test_base_model_has_no_model(self, run: Run, metrics: FakeCloudWatch) -> None:
        metrics.refusal = "AccessDenied"
        result = run("describe", "-c", "base", fleet=False)
        assert result.stdout.startswith("base model   base\n")
        assert 'model        ""\n' in result.stdout

    def test_component_beside_a_name_is_wrong_usage(self, run: Run) -> None:
        assert run("describe", "acme", "-c", "p-acme").exit_code == 2
