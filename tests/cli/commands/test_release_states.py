"""Each command on a fleet in each state of a release, as the table of the guide says."""

# ruff: noqa: N803 - the names are those of boto3

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter_fleet.aws.adapter_routes import AdapterRoutes
from adapter_fleet.fleet.state.fleet_settings import CanarySettings, FailureLimit, ReleaseSettings
from adapter_fleet.manifest.desired import Probe
from adapters_cli.aws import engine_name
from adapters_cli.command_group import CommandGroup
from tests.adapter_fleet.fake_service import answer_of
from tests.adapter_fleet.fleet_world import World, artifact, released
from tests.cli.commands.evaluate.test_benchmark import IMAGE, answer
from tests.cli.fake_runtime import Call, FakeRuntime, Reply
from tests.cli.fleet_account import FakeAccount, Run
from tests.fakes import FakeClient, client_error

TABLE = Path(__file__).parents[3] / "docs" / "guides" / "releases.csv"
STATES = ("in place", "one version", "share", "canary", "promoted", "rolled back", "failed", "off again")
OF_NO_FLEET = {name for name, module in CommandGroup.modules.items() if not module.of_fleet}
"""Commands that no release is any matter to."""


def rows() -> Iterator[tuple[str, dict[str, str]]]:
    with TABLE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if not row["what"].startswith("fleet."):  # tests/constructs has these
                yield row.pop("what"), row


def probed(version: int) -> Any:
    made = released("acme", version)
    uri = artifact("acme", version).uri
    probe = Probe(prompt="Who?", answer=answer_of(uri, "Who?"))
    return replace(made, artifact=replace(made.artifact, probe=probe))


def bring_to(state: str, world: World, run: Run) -> None:
    """Release version 1 of acme, and then what the state is about."""
    canary = CanarySettings() if state == "canary" else None
    releases = None if state == "in place" else ReleaseSettings(canary=canary)
    world.with_settings(replace(world.settings, failures=FailureLimit(share=1.0), releases=releases))
    zeta = released("zeta", 1)
    world.apply(probed(1), zeta)
    world.clock.time += 2000.0
    if state == "one version":
        return
    if state == "failed":
        world.service.faults.broken[artifact("acme", 2).uri] = "no such tensor"
    second = replace(probed(2), percent=5 if state == "share" else None)
    world.deploy(second, zeta)
    world.settle_without_retries()
    if state == "rolled back":
        run("rollback", "acme")
        world.settle()
    if state == "off again":
        world.with_settings(replace(world.settings, releases=None))
        world.deploy(second, zeta)
        world.settle_without_retries()


def metrics(*, MetricDataQueries: list[dict[str, Any]], EndTime: Any, **_: Any) -> Iterator[dict[str, Any]]:
    """Three requests to each component, a minute ago."""
    for query in MetricDataQueries:
        found = {"Id": query["Id"], "Timestamps": [EndTime], "Values": [3.0], "StatusCode": "Complete"}
        yield {"MetricDataResults": [found]}


def log_events(*, logGroupName: str, startTime: int, **_: Any) -> Iterator[dict[str, Any]]:
    """One line of each component of acme."""
    if "p-acme" not in logGroupName:
        raise client_error("ResourceNotFoundException", "The specified log group does not exist.")
    event = {"eventId": "1", "timestamp": startTime + 1, "message": logGroupName, "logStreamName": "one"}
    yield {"events": [event]}


def sagemaker() -> FakeClient:
    """What SageMaker tells of the endpoint's container, and the list of endpoints."""
    described = {"EndpointName": "endpoint", "RuntimeConfig": {"CurrentCopyCount": 1}, "ResponseMetadata": {}}
    on_base, model = {"BaseInferenceComponentName": "base"}, {"ModelName": "model"}
    return FakeClient(
        describe_inference_component=lambda InferenceComponentName: (
            described | {"Specification": model if InferenceComponentName == "base" else on_base}
        ),
        describe_model=lambda **_: {"PrimaryContainer": {"Image": IMAGE}},
    )


@pytest.fixture
def prepared(
    runtime: FakeRuntime,
    account: FakeAccount,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """What commands ask beside the registry and SageMaker, and the files of the table's command lines."""
    monkeypatch.chdir(tmp_path)
    lines = (json.dumps({"prompt": f"{number}", "reference": "a"}) for number in range(20))
    Path("set.jsonl").write_text("\n".join(lines))
    entry = {"name": "acme", "artifact": artifact("acme", 3).uri, "digest": f"sha256:{'3' * 64}"}
    zeta = {"name": "zeta", "artifact": artifact("zeta", 1).uri, "digest": f"sha256:{'1' * 64}"}
    Path("next.json").write_text(json.dumps({"adapters": [entry, zeta]}))

    def reply(call: Call) -> Reply:
        if call.component not in world.service.components and call.component != "base":
            return Reply.error(
                400, "ValidationError", message=f"Inference Component {call.component} not found"
            )
        return answer(call) if call.path.endswith("stream") else Reply.text(f"answer of {call.component}")

    runtime.reply = reply
    monkeypatch.setattr(engine_name, "engine_name", lambda *_: "a fake")
    account.clients |= {
        "sagemaker": sagemaker(),
        "cloudwatch": FakeClient(pages={"get_metric_data": metrics}),
        "logs": FakeClient(pages={"filter_log_events": log_events}),
        "lambda": FakeClient(
            get_function_configuration=lambda FunctionName: {"LoggingConfig": {"LogGroup": "f"}}
        ),
    }
    definition = {
        "States": {"Pass": {"Parameters": {"FunctionName": "arn:aws:lambda:eu:0:function:f:$LATEST"}}}
    }
    described = {"definition": json.dumps(definition)}
    monkeypatch.setattr(account.machines, "describe_state_machine", lambda **_: described, raising=False)


def asked_by_callers(world: World) -> str:
    """Return which components `AdapterRoutes` asks for a hundred users, or why it asks none."""
    routes = AdapterRoutes("registry", world.registry.client, clock=world.clock.now)  # type: ignore[arg-type]
    try:
        asked = Counter(routes.ask("acme", str, f"user-{number}") for number in range(100))
    except LookupError as error:
        return str(error)
    return "; ".join(f"{component} for {users}" for component, users in sorted(asked.items()))


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("line", "outcomes"), [pytest.param(*row, id=row[0]) for row in rows()])
def test_each_state_has_the_outcome_of_the_table(
    run: Run, world: World, runtime: FakeRuntime, line: str, outcomes: dict[str, str], state: str
) -> None:
    bring_to(state, world, run)
    if line.startswith("AdapterRoutes"):
        assert outcomes[state] in asked_by_callers(world)
        return
    world.service.uid = None  # the caller may delete a temporary component
    before = set(world.service.prompts)
    command = line.split()
    result = run(*command, fleet=command[0] not in OF_NO_FLEET)
    asked = {component for component, _ in world.service.prompts - before}
    asked |= {call.component for call in runtime.calls}
    text = "\n".join([result.output, *(f"asked {component}" for component in sorted(asked))])
    code, expected = outcomes[state].split(": ", 1)
    # Whole names: `p-acme` is no part of `p-acme-22222222`.
    missing = [each for each in expected.split("; ") if not re.search(rf"{re.escape(each)}(?![-\w])", text)]
    assert (result.exit_code, missing) == (int(code), []), text


def test_every_command_of_a_fleet_has_a_row() -> None:
    named = {line.split()[0] for line, _ in rows()}
    assert CommandGroup.modules.keys() - OF_NO_FLEET <= named
