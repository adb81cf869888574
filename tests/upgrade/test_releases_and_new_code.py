"""New code, `releases` and new versions over a commit without routes, each rolled back and each undone.

Callers ask all the while (`make qa SUITE=upgrade`). The app before is always that of one commit.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapter_fleet.aws.adapter_routes import AdapterRoutes
from adapter_fleet.fleet.state.generations import Generation, Outcome
from adapter_fleet.fleet.state.registry import Registry
from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import adapters, client, until
from tests.integration.fleet_stack import ACCOUNT, ASSETS, REGION, Deployment, Endpoint, Fleet, FleetStack
from tests.integration.fleet_stack import wrong as components_that_are_wrong
from tests.integration.test_releases import Callers

HERE = Path(__file__).parents[2]
ROOTS = ("constructs", "lambda", "cli", "local", ".")
WITHOUT_RELEASES = "a4b26cb9"
"""The last commit whose functions know no routes."""

BEFORE = {"acme": "triage", "globex": "summary"}
AFTER = BEFORE | {"globex": "summary-v2"}


class UpgradedStack(FleetStack):
    """A stack with one fleet, made by the library of either commit.

    checkout:
        The tree whose library and functions are deployed.
    fails_after:
        The logical id of a resource after which another one fails; None for none.
    after_fleet:
        The resources that wait for the fleet, by logical id.
    """

    checkout = HERE
    releases = False
    fails_after: str | None = None
    after_fleet: Sequence[str] = ()

    def deploy(
        self,
        checkout: Path,
        wanted: Mapping[str, str],
        *,
        releases: bool = False,
        fails_after: str | None = None,
    ) -> Deployment:
        self.checkout, self.releases, self.fails_after = checkout, releases, fails_after
        fleets = {"Tenants": Fleet(adapters=wanted)}
        return self.create(fleets) if self._id is None else self.update(fleets)

    def _synthesize(self, fleets: Mapping[str, Fleet], broken: Sequence[str]) -> str:
        folder = self._folder / f"{self.name}-{next(self._synths)}"
        folder.mkdir()
        manifest = folder / "adapters.json"
        manifest.write_text(self.archives.manifest(fleets["Tenants"].adapters))
        assert self.endpoint is not None
        options = {
            "outdir": str(folder / "cdk.out"),
            "name": self.name,
            "account": ACCOUNT,
            "region": REGION,
            "assets": ASSETS,
            "endpoint": self.endpoint.name,
            "base": self.endpoint.base,
            "role": self.endpoint.role,
            "archives": self.archives.bucket,
            "manifest": str(manifest),
            "releases": self.releases,
        }
        subprocess.run(
            [sys.executable, Path(__file__).parent / "fleet_app.py", json.dumps(options)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(str(self.checkout / root) for root in ROOTS)},
            check=True,
        )
        self._publish(folder / "cdk.out")
        template = json.loads((folder / "cdk.out" / f"{self.name}.template.json").read_text())
        resources = template["Resources"]
        self.after_fleet = waiting_for_fleet(resources)
        if self.fails_after is not None:
            resources["Failing"] = {
                "Type": "AWS::SageMaker::InferenceComponent",
                "DependsOn": self.fails_after,
                "Properties": {
                    "EndpointName": self.endpoint.name,
                    "InferenceComponentName": f"{self.name}-failing",
                    "Specification": {
                        "BaseInferenceComponentName": "no-such-base",
                        "Container": {"ArtifactUrl": self.archives.uri("triage")},
                    },
                },
            }
        key = f"{folder.name}.json"
        self._s3.put_object(Bucket=ASSETS, Key=key, Body=json.dumps(template))
        return f"https://s3.{REGION}.amazonaws.com/{ASSETS}/{key}"


def waiting_for_fleet(resources: Mapping[str, Any]) -> list[str]:
    """Return the fleet and the resources that need it, by logical id."""
    found = [name for name, each in resources.items() if each["Type"] == "Custom::AdapterFleet"]
    for needed in found:  # it grows
        found += [
            name
            for name, each in resources.items()
            if name not in found and f'"{needed}"' in json.dumps(each)
        ]
    return found


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("without-releases")
    archive = subprocess.run(
        ["git", "archive", WITHOUT_RELEASES], cwd=HERE, stdout=subprocess.PIPE, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tree:
        tree.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(profile="kind") as cloud:
        cloud.admin.scale_waits(0.1)
        yield cloud


@pytest.fixture(scope="module")
def endpoint(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Endpoint:
    stack = FleetStack(cloud, tmp_path_factory.mktemp("endpoint"))
    created = stack.create()
    assert created.status == "CREATE_COMPLETE", created.reason
    return stack.attributes(created.outputs)


@pytest.fixture
def stack(cloud: LocalCloud, endpoint: Endpoint, earlier: Path, tmp_path: Path) -> UpgradedStack:
    """The stack as the earlier commit deploys it."""
    stack = UpgradedStack(cloud, tmp_path, endpoint=endpoint)
    created = stack.deploy(earlier, BEFORE)
    assert created.status == "CREATE_COMPLETE", created.reason
    return stack


class ByComponent(AdapterRoutes):
    """Callers who name the components of a fleet without routes."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def ask(self, adapter: str, send: Callable[[str], Any], *_: Any, **__: Any) -> Any:
        return send(f"{self._prefix}-{adapter}")


def callers(stack: UpgradedStack, routes: AdapterRoutes) -> Callers:
    assert stack.endpoint is not None
    may = {name: {BEFORE[name], AFTER[name]} for name in BEFORE}
    return Callers(stack.cloud, stack.endpoint.name, routes, may)


def routes_of(stack: UpgradedStack) -> AdapterRoutes:
    return AdapterRoutes(stack.resource("TenantsRegistry"), client(stack.cloud, "dynamodb"))


def newest(stack: UpgradedStack) -> Generation:
    registry = Registry(stack.resource("TenantsRegistry"), client(stack.cloud, "dynamodb"))
    fleet = registry.fleet()
    generation = None if fleet is None else registry.generation(fleet.generation)
    assert generation is not None
    return generation


def wrong(stack: UpgradedStack, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return which of the first components do not answer as they should; more may be drained."""
    assert stack.endpoint is not None
    expected = {stack.prefix + "-" + name: label for name, label in wanted.items()}
    return components_that_are_wrong(stack.cloud, stack.endpoint.name, expected)


def unanswered(stack: UpgradedStack, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return what callers get who follow the routes, where it is not as it should be."""
    asks = callers(stack, routes_of(stack))
    asks.may = {name: {label} for name, label in wanted.items()}
    with asks.calling(2):
        until(lambda: asks.wrong or min(asks.answered[name] for name in wanted) > 3, "all have answered")
    return {error.partition(":")[0]: error for error in asks.wrong}


def in_force(stack: UpgradedStack) -> None:
    """Check that a person sees at once that all is well."""
    status = adapters(stack.cloud, "status", "--stack", stack.name, "--wait", "--timeout", "60")
    assert status.exit_code == 0, status.output


@pytest.mark.timeout(1800)
def test_releases_beside_the_first_code_that_knows_them_are_refused_and_code_alone_is_rolled_back_anywhere(
    stack: UpgradedStack,
) -> None:
    asks = callers(stack, ByComponent(stack.prefix))
    asks.may = {name: {label} for name, label in BEFORE.items()}
    with asks.calling(2):
        refused = stack.deploy(HERE, AFTER, releases=True)
        assert refused.status == "UPDATE_ROLLBACK_COMPLETE", refused.reason
        assert "deploy once without 'releases', then with them" in refused.reason
        for resource in stack.after_fleet:
            failed = stack.deploy(HERE, BEFORE, fails_after=resource)
            assert failed.status == "UPDATE_ROLLBACK_COMPLETE", failed.reason
            assert list(failed.reasons) == ["Failing"]
            assert (newest(stack).outcome, newest(stack).undo) == (Outcome.CONVERGED, True)
        before = newest(stack).number
        updated = stack.deploy(HERE, BEFORE)
        assert updated.status == "UPDATE_COMPLETE", updated.reason
    made = newest(stack)
    assert (made.number, made.outcome, made.undo) == (before + 1, Outcome.CONVERGED, False)
    assert (made.changes, made.writes) == (0, 0)
    in_force(stack)
    assert asks.wrong == []
    assert min(asks.answered[name] for name in BEFORE) > 10
    assert wrong(stack, BEFORE) == {}


@pytest.mark.timeout(1800)
def test_releases_and_a_new_version_are_rolled_back_anywhere_once_the_code_is_in_place(
    stack: UpgradedStack,
) -> None:
    assert stack.deploy(HERE, BEFORE).status == "UPDATE_COMPLETE"
    asks = callers(stack, ByComponent(stack.prefix))
    asks.may = {name: {label} for name, label in BEFORE.items()}
    with asks.calling(2):
        for resource in stack.after_fleet:
            failed = stack.deploy(HERE, AFTER, releases=True, fails_after=resource)
            assert failed.status == "UPDATE_ROLLBACK_COMPLETE", failed.reason
            assert list(failed.reasons) == ["Failing"]
            assert (newest(stack).outcome, newest(stack).undo) == (Outcome.CONVERGED, True)
            assert unanswered(stack, BEFORE) == {}
    assert asks.wrong == []
    released = stack.deploy(HERE, AFTER, releases=True)
    assert released.status == "UPDATE_COMPLETE", released.reason
    assert unanswered(stack, AFTER) == {}
    in_force(stack)


@pytest.mark.timeout(900)
def test_new_code_alone_mends_the_routes_that_code_without_routes_has_left_dead(
    stack: UpgradedStack, earlier: Path
) -> None:
    for manifest, releases in ((BEFORE, False), (AFTER, True)):
        updated = stack.deploy(HERE, manifest, releases=releases)
        assert updated.status == "UPDATE_COMPLETE", updated.reason
    assert unanswered(stack, AFTER) == {}
    asks = callers(stack, ByComponent(stack.prefix))
    with asks.calling(2):
        back = stack.deploy(earlier, BEFORE)
        assert back.status == "UPDATE_COMPLETE", back.reason
        assert unanswered(stack, BEFORE).keys() == {"globex"}, "its route names what the code has deleted"
        before = newest(stack).number
        again = stack.deploy(HERE, BEFORE)
        assert again.status == "UPDATE_COMPLETE", again.reason
        made = newest(stack)
        assert (made.number, made.outcome, made.changes) == (before + 1, Outcome.CONVERGED, 0)
        assert unanswered(stack, BEFORE) == {}
        in_force(stack)
    assert asks.wrong == []
    released = stack.deploy(HERE, AFTER, releases=True)
    assert released.status == "UPDATE_COMPLETE", released.reason
    assert unanswered(stack, AFTER) == {}
