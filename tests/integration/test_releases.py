"""Callers that follow routes while versions are released, fail and are rolled back miss no answer.

`make nightly` changes twenty adapters fifty times.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from botocore.exceptions import ClientError

from adapter_fleet.aws.adapter_routes import AdapterRoutes
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import FailurePolicy, Releases
from tests.integration.by_hand import adapters, client, prompts, until
from tests.integration.fleet_stack import BROKEN, Endpoint, Fleet, FleetStack, components
from tests.nightly import NIGHTLY

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3000), pytest.mark.usefixtures("short_waits")]

LABELS = ("triage", "summary", "summary-v2", "shout")
ANSWERS = {label: {one["prompt"]: one["answers"][label] for one in prompts()} for label in LABELS}
NAMES = [f"a{number:02}" for number in range(20 if NIGHTLY else 3)]
CHANGES = 50 if NIGHTLY else 4
RELEASES: Mapping[str, Any] = {
    "releases": Releases(keep=1, drain=cdk.Duration.seconds(80)),
    "failure_policy": FailurePolicy.share(1),
}


@dataclass
class Callers:
    """Threads that ask adapters by their names; `may` has the labels that may answer for each."""

    cloud: LocalCloud
    endpoint: str
    routes: AdapterRoutes
    may: dict[str, set[str]]
    answered: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @contextmanager
    def calling(self, threads: int) -> Iterator[None]:
        stop = threading.Event()
        running = [threading.Thread(target=self._call, args=(stop, number)) for number in range(threads)]
        for thread in running:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in running:
                thread.join()

    def _call(self, stop: threading.Event, seed: int) -> None:
        runtime, choose = client(self.cloud, "sagemaker-runtime"), random.Random(seed)
        while not stop.is_set():
            name, prompt = choose.choice(sorted(self.may)), choose.choice(prompts())["prompt"]

            def send(component: str, prompt: str = prompt) -> Any:
                return runtime.invoke_endpoint(
                    EndpointName=self.endpoint,
                    InferenceComponentName=component,
                    ContentType="application/json",
                    Body=json.dumps({"prompt": prompt, "max_tokens": 60, "temperature": 0}),
                )

            may = set(self.may[name])
            try:
                answer = json.loads(self.routes.ask(name, send)["Body"].read())["choices"][0]["text"]
            except ClientError as error:
                self.wrong.append(f"{name}: {error}")
                continue
            label = next((one for one in LABELS if ANSWERS[one][prompt] == answer), None)
            if label in may | self.may[name]:
                self.answered[name] += 1
            else:
                self.wrong.append(f"{name} answers {answer!r}, and not as {may}")


@pytest.fixture
def stack(cloud: LocalCloud, shared_endpoint: Endpoint, tmp_path: Path) -> Iterator[FleetStack]:
    stack = FleetStack(cloud, tmp_path, endpoint=shared_endpoint)
    yield stack
    deleted = stack.delete()
    assert deleted.status == "DELETE_COMPLETE", deleted.reason
    left = [name for name in components(cloud, shared_endpoint.name) if name.startswith(stack.prefix)]
    assert left == []


def labels(changes: int) -> Sequence[dict[str, str]]:
    """Return the manifests of a story: each changes a few adapters, and some versions are broken."""
    choose, now = random.Random(1), dict.fromkeys(NAMES, "summary")
    stories = []
    for number in range(changes):
        for name in choose.sample(NAMES, min(len(NAMES), 3)):
            now[name] = choose.choice([label for label in LABELS if label != now[name]])
        if number % 3 == 1:
            now[NAMES[0]] = BROKEN
        stories.append(dict(now))
    return stories


def test_callers_that_follow_routes_miss_no_answer_while_versions_change(
    stack: FleetStack, shared_endpoint: Endpoint, record_property: Callable[[str, object], None]
) -> None:
    wanted = dict.fromkeys(NAMES, "summary")
    created = stack.create({"Tenants": Fleet(adapters=wanted, settings=RELEASES)})
    assert created.status == "CREATE_COMPLETE", created.reason
    table = created.outputs["TenantsTable"]
    routes = AdapterRoutes(table, client(stack.cloud, "dynamodb"))
    callers = Callers(stack.cloud, shared_endpoint.name, routes, {name: {"summary"} for name in NAMES})
    rolled_back = 0
    with callers.calling(8 if NIGHTLY else 3):
        for number, manifest in enumerate(labels(CHANGES)):
            for name, label in manifest.items():
                callers.may[name] |= {label} - {BROKEN}
            if number % 3 == 0:
                stack.cloud.admin.fail_calls("CreateInferenceComponent", code="ThrottlingException", times=2)
            changed = stack.update({"Tenants": Fleet(adapters=manifest, settings=RELEASES)})
            assert changed.status == "UPDATE_COMPLETE", changed.reason
            new = [name for name in NAMES if BROKEN not in (manifest[name], wanted[name])]
            new = [name for name in new if manifest[name] != wanted[name]]
            for name in new[: number % 2]:
                back = adapters(stack.cloud, "rollback", name, "--stack", stack.name, "--json")
                assert back.exit_code == 0, back.output
                assert json.loads(back.stdout)["at_once"], back.stdout
                rolled_back += 1
            wanted = manifest
            if NIGHTLY:
                until(lambda: callers.answered.total() > 400 * number, "many have answered", seconds=300)  # noqa: B023
        seen = callers.answered.copy()
        until(
            lambda: all(callers.answered[name] > seen[name] + 3 for name in NAMES), "all answer", seconds=300
        )
    assert callers.wrong == []
    record_property("answers", callers.answered.total())
    record_property("rollbacks", rolled_back)
    assert rolled_back > 0
    assert callers.answered.total() > 10 * CHANGES


def test_fleet_goes_from_in_place_to_releases_and_back_while_callers_ask(
    stack: FleetStack, shared_endpoint: Endpoint
) -> None:
    before = {"acme": "triage", "globex": "summary"}
    created = stack.create({"Tenants": Fleet(adapters=before)})
    assert created.status == "CREATE_COMPLETE", created.reason
    writes = stack.cloud.admin.writes()
    on = stack.update({"Tenants": Fleet(adapters=before, settings=RELEASES)})
    assert on.status == "UPDATE_COMPLETE", on.reason
    made = Counter(stack.cloud.admin.writes()) - Counter(writes)
    assert made.keys() <= {"AddTags"}, "nothing is replaced"
    table = created.outputs["TenantsTable"]
    routes = AdapterRoutes(table, client(stack.cloud, "dynamodb"))
    may = {name: {label} for name, label in before.items()}
    callers = Callers(stack.cloud, shared_endpoint.name, routes, may)
    after = before | {"globex": "summary-v2"}
    with callers.calling(2):
        for manifest, settings in ((after, RELEASES), (after, {}), (after, RELEASES), (before, RELEASES)):
            callers.may["globex"] |= {manifest["globex"]}
            changed = stack.update({"Tenants": Fleet(adapters=manifest, settings=settings)})
            assert changed.status == "UPDATE_COMPLETE", changed.reason
    assert callers.wrong == []
    assert min(callers.answered[name] for name in before) > 0
