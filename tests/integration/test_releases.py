"""Callers that follow routes while versions are released, fail and are rolled back miss no answer.

`make nightly` changes twenty adapters fifty times.
"""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from botocore.exceptions import ClientError

from adapter_fleet.aws.adapter_routes import AdapterRoutes, place_of
from adapter_fleet.common.naming import route_key
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import Canary, FailurePolicy, Releases
from tests.integration.by_hand import adapters, client, prompts, repeated, until
from tests.integration.fleet_stack import BROKEN, Endpoint, Fleet, FleetStack, components
from tests.nightly import NIGHTLY

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3000), pytest.mark.usefixtures("short_waits")]

LABELS = ("triage", "summary", "summary-v2", "shout")
ANSWERS = {label: {one["prompt"]: one["answers"][label] for one in prompts()} for label in LABELS}
NAMES = [f"a{number:02}" for number in range(20 if NIGHTLY else 3)]
CHANGES = 50 if NIGHTLY else 4
FAILS: dict[str, Any] = {"prompt": ""}
TAKES_LONG: dict[str, Any] = {"max_tokens": 200, "ignore_eos": True}
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
    users: int = 10
    """Callers of each thread."""
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What else requests to a component have, by which they fail or take long."""
    answered: Counter[str] = field(default_factory=Counter)
    told: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    """The labels that have answered an adapter's caller, in order."""
    wrong: list[str] = field(default_factory=list)

    def calling(self, threads: int) -> AbstractContextManager[None]:
        return repeated(*(partial(self._call, seed, random.Random(seed)) for seed in range(threads)))

    def _call(self, thread: int, choose: random.Random) -> None:
        name, prompt = choose.choice(sorted(self.may)), choose.choice(prompts())["prompt"]
        caller = f"user-{thread}-{choose.randrange(self.users)}"

        sent: list[str] = []

        def send(component: str) -> Any:
            sent.append(component)
            body = {
                "prompt": prompt,
                "max_tokens": 60,
                "temperature": 0,
                **self.bodies.get(component, {}),
            }
            return client(self.cloud, "sagemaker-runtime").invoke_endpoint(
                EndpointName=self.endpoint,
                InferenceComponentName=component,
                ContentType="application/json",
                Body=json.dumps(body),
            )

        may = set(self.may[name])
        try:
            answer = json.loads(self.routes.ask(name, send, caller)["Body"].read())["choices"][0]["text"]
        except ClientError as error:
            if self.bodies.get(sent[-1]) != FAILS:
                self.wrong.append(f"{name}: {error}")
            return
        # One that takes long goes on behind its answer.
        label = next((one for one in LABELS if answer.startswith(ANSWERS[one][prompt])), None)
        if label in may | self.may[name]:
            self.answered[name] += 1
            if label is not None and self.told[name, caller][-1:] != [label]:
                self.told[name, caller].append(label)
        else:
            self.wrong.append(f"{name} answers {answer!r}, and not as {may}")


@pytest.fixture
def stack(cloud: LocalCloud, shared_endpoint: Endpoint, tmp_path: Path) -> Iterator[FleetStack]:
    stack = FleetStack(cloud, tmp_path, endpoint=shared_endpoint)
    yield stack
    stack.delete().succeeded()
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
    created = stack.create({"Tenants": Fleet(adapters=wanted, settings=RELEASES)}).succeeded()
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
            stack.update({"Tenants": Fleet(adapters=manifest, settings=RELEASES)}).succeeded()
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
    created = stack.create({"Tenants": Fleet(adapters=before)}).succeeded()
    writes = stack.cloud.admin.writes()
    stack.update({"Tenants": Fleet(adapters=before, settings=RELEASES)}).succeeded()
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
            stack.update({"Tenants": Fleet(adapters=manifest, settings=settings)}).succeeded()
    assert callers.wrong == []
    assert min(callers.answered[name] for name in before) > 0


def test_new_version_answers_a_place_of_the_callers_until_it_is_promoted(
    stack: FleetStack, shared_endpoint: Endpoint
) -> None:
    created = stack.create({"Tenants": Fleet(adapters={"acme": "triage"}, settings=RELEASES)}).succeeded()
    routes = AdapterRoutes(created.outputs["TenantsTable"], client(stack.cloud, "dynamodb"))
    callers = Callers(stack.cloud, shared_endpoint.name, routes, {"acme": {"triage", "summary"}})
    with callers.calling(3):
        until(lambda: len(callers.told) == 30, "every caller has asked", seconds=120)
        shared = Fleet(document=manifest(stack, {"acme": "summary"}, percent=40), settings=RELEASES)
        stack.update({"Tenants": shared}).succeeded()
        chosen = {caller for name, caller in callers.told if place_of(name, caller) < 40}
        assert 4 < len(chosen) < 22
        until(lambda: has_answered(callers, "summary") >= chosen, "they have moved", seconds=120)
        assert has_answered(callers, "summary") == chosen
        written = adapters(stack.cloud, "routes", "--stack", stack.name)
        assert "adapter: acme" in written.stdout, written.output
        promoted = adapters(stack.cloud, "promote", "acme", "--stack", stack.name)
        assert promoted.exit_code == 0, promoted.output
        until(lambda: len(has_answered(callers, "summary")) == 30, "all have moved", seconds=120)
    assert callers.wrong == []
    assert all(told in (["triage", "summary"], ["summary"]) for told in callers.told.values())


@pytest.mark.skipif(not NIGHTLY, reason="the steps of a canary take minutes: `make nightly`")
def test_five_canaries_side_by_side_end_each_as_its_callers_fare(
    stack: FleetStack, shared_endpoint: Endpoint, record_property: Callable[[str, object], None]
) -> None:
    before = dict.fromkeys(
        [*(f"a{number:02}" for number in range(17)), "slower", "failing", "quiet"], "shout"
    )
    after = before | dict.fromkeys(["a00", "a01", "slower", "failing", "quiet"], "summary")
    canary = Canary(steps=(5, 25), every=cdk.Duration.minutes(2), min_requests=20, max_latency=1.6)
    settings = {
        "releases": Releases(keep=1, drain=cdk.Duration.seconds(80), canary=canary),
        "failure_policy": FailurePolicy.share(1),
    }
    created = stack.create({"Tenants": Fleet(adapters=before, settings=settings)}).succeeded()
    routes = AdapterRoutes(created.outputs["TenantsTable"], client(stack.cloud, "dynamodb"))
    asked = ["a00", "a01", "slower", "failing"]
    callers = Callers(
        stack.cloud,
        shared_endpoint.name,
        routes,
        {name: {before[name], "summary"} for name in asked},
        users=25,
    )
    read = client(stack.cloud, "dynamodb")

    def route(name: str) -> Mapping[str, Any]:
        key = {field: {"S": value} for field, value in route_key(name).items()}
        return dict(read.get_item(TableName=created.outputs["TenantsTable"], Key=key)["Item"])

    old = {name: route(name)["component"]["S"] for name in after}
    with callers.calling(8):
        stack.update({"Tenants": Fleet(adapters=after, settings=settings)}).succeeded()
        assert {name for name in after if "candidate" in route(name)} == {*asked, "quiet"}
        callers.bodies[route("failing")["candidate"]["S"]] = FAILS
        callers.bodies[route("slower")["candidate"]["S"]] = TAKES_LONG
        until(lambda: "candidate" not in route("failing"), "the failing one goes back", seconds=600)
        until(lambda: "candidate" not in route("slower"), "the slower one goes back", seconds=600)
        until(lambda: "candidate" not in route("a00"), "a canary has ended", seconds=900)
        until(lambda: "candidate" not in route("a01"), "the other one has ended", seconds=600)
        until(lambda: len(has_answered(callers, "summary")) == 200, "all follow", seconds=120)
    assert callers.wrong == []
    new = {name for name in after if route(name)["component"]["S"] != old[name]}
    assert new == {"a00", "a01"}
    assert route("quiet")["percent"]["N"] == "5"
    status = json.loads(adapters(stack.cloud, "status", "--stack", stack.name, "--json").stdout)
    told = {one["name"]: one for one in status["adapters"]}
    assert "requests failed" in told["failing"]["reason"]
    assert "times as long" in told["slower"]["reason"]
    assert "20 wanted" in told["quiet"]["reason"]
    for (name, caller), labels in callers.told.items():
        share = place_of(name, caller)
        # Those of the first step are asked before the candidate fails, and go back once.
        back = 3 if share < 5 else 1
        allowed = {"a00": 2, "a01": 2, "slower": back, "failing": back}
        assert len(labels) <= allowed[name], (name, caller, share, labels)
    record_property("answers", callers.answered.total())


def has_answered(callers: Callers, label: str) -> set[str]:
    """Return the callers whom a version has answered."""
    return {caller for (_, caller), told in list(callers.told.items()) if label in told}


def manifest(stack: FleetStack, wanted: Mapping[str, str], *, percent: int | None = None) -> str:
    document = json.loads(stack.archives.manifest(wanted, local=True))
    for entry in document["adapters"]:
        entry["percent"] = percent
    return json.dumps(document)
