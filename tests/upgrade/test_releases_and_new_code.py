"""New code, `releases` and a new version over a release without routes, rolled back and undone anywhere.

Callers ask all the while (`make qa SUITE=upgrade`). The release before is always that of one commit.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from adapter_fleet.aws.adapter_routes import AdapterRoutes
from adapter_fleet.fleet.state.generations import Generation, Outcome
from adapter_fleet.fleet.state.registry import Registry
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import AdapterFleet, IBaseComponent, Releases
from tests.integration.by_hand import adapters, client, until
from tests.integration.fleet_stack import ASSETS, REGION, Endpoint, Fleet, FleetStack
from tests.integration.test_releases import Callers
from tests.upgrade.test_upgrade import ROOTS, unpacked

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]

WITHOUT_ROUTES = "a4b26cb9"
"""The last commit whose functions know no routes."""
BEFORE = {"acme": "triage", "globex": "summary"}
AFTER = BEFORE | {"globex": "summary-v2"}

DEPLOY = """
import json, pathlib, sys, boto3
from tests.integration.fleet_stack import Endpoint, Fleet, FleetStack
class Cloud:
    client = staticmethod(boto3.client)
folder, name, endpoint, adapters, verb = json.loads(sys.argv[1])
stack = FleetStack(Cloud(), pathlib.Path(folder), name=name, endpoint=Endpoint(**endpoint))
deployed = getattr(stack, verb)({"Tenants": Fleet(adapters=adapters)})
assert deployed.status == verb.upper() + "_COMPLETE", deployed.reason
"""
"""What the release before deploys itself with: a folder, the stack and its endpoint, the fleet, and how."""


class Upgraded(FleetStack):
    """A stack with a fleet and what watches it.

    after_fleet:
        The fleet and all that waits for it, by logical id.
    fails_after:
        The logical id of the resource after which another one fails.
    """

    after_fleet: Sequence[str] = ()
    fails_after: str | None = None

    def deploy(
        self, wanted: Mapping[str, str], *, releases: bool = False, fails_after: str | None = None
    ) -> str:
        """Update the stack; return how that ended, and why."""
        self.fails_after = fails_after
        settings = {"releases": Releases(keep=1, drain=cdk.Duration.seconds(80))} if releases else {}
        updated = self.update({"Tenants": Fleet(adapters=wanted, settings=settings)})
        return f"{updated.status} {' '.join(updated.reasons)} {updated.reason}"

    def deploy_the_release_before(self, earlier: Path, verb: str) -> None:
        assert self.endpoint is not None
        what = [str(self._folder / verb), self.name, asdict(self.endpoint), BEFORE, verb]
        roots = [str(earlier / root) for root in ROOTS]
        environment = {**self.cloud.environment, "PYTHONPATH": os.pathsep.join(roots)}
        command = [sys.executable, "-c", DEPLOY, json.dumps(what)]
        subprocess.run(command, cwd=earlier, env=environment, check=True)

    def _add_to(self, stack: cdk.Stack, endpoint: IBaseComponent) -> None:
        fleet = stack.node.find_child("Tenants")
        assert isinstance(fleet, AdapterFleet)
        fleet.monitor()
        self._failing(stack, endpoint)

    def _publish(self, assembly: Path) -> str:
        super()._publish(assembly)
        template = json.loads((assembly / f"{self.name}.template.json").read_text())
        resources: dict[str, Any] = template["Resources"]
        failing = resources.pop("Failing")
        waiting = [name for name, each in resources.items() if each["Type"] == "Custom::AdapterFleet"]
        for needed in waiting:  # it grows
            texts = {name: json.dumps(each) for name, each in resources.items() if name not in waiting}
            waiting += [name for name, text in texts.items() if f'"{needed}"' in text]
        self.after_fleet = waiting
        if self.fails_after is not None:
            resources["Failing"] = {**failing, "DependsOn": self.fails_after}
        key = f"{assembly.parent.name}.json"
        self._s3.put_object(Bucket=ASSETS, Key=key, Body=json.dumps(template))
        return f"https://s3.{REGION}.amazonaws.com/{ASSETS}/{key}"

    # --- what there is

    @property
    def table(self) -> tuple[str, Any]:
        return self.resource("TenantsRegistry"), client(self.cloud, "dynamodb")

    def newest(self) -> Generation:
        registry = Registry(*self.table)
        fleet = registry.fleet()
        generation = None if fleet is None else registry.generations.find(fleet.generation)
        assert generation is not None
        return generation

    def callers(self, wanted: Mapping[str, str], routes: AdapterRoutes) -> Callers:
        assert self.endpoint is not None
        may = {name: {label} for name, label in wanted.items()}
        return Callers(self.cloud, self.endpoint.name, routes, may)

    def by_component(self) -> Callers:
        """Return callers who name the components that were there first."""
        return self.callers(BEFORE, ByComponent(self.component("Tenants", "")))

    def unanswered(self, wanted: Mapping[str, str]) -> set[str]:
        """Return the adapters that callers who follow routes do not get as they should."""
        callers = self.callers(wanted, AdapterRoutes(*self.table))
        with callers.calling(2):
            until(lambda: callers.wrong or min(callers.answered[name] for name in wanted) > 3, "all answer")
        return {error.partition(":")[0].split()[0] for error in callers.wrong}

    def status(self) -> int:
        return adapters(self.cloud, "status", "--stack", self.name, "--wait", "--timeout", "60").exit_code


class ByComponent(AdapterRoutes):
    """What callers know who follow no routes."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def ask(self, adapter: str, send: Callable[[str], Any], caller: str | None = None) -> Any:
        return send(self._prefix + adapter)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(WITHOUT_ROUTES, tmp_path_factory.mktemp("without-routes"))


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalCloud, Endpoint]]:
    with LocalCloud(profile="kind") as cloud:
        cloud.admin.scale_waits(0.1)
        stack = FleetStack(cloud, tmp_path_factory.mktemp("endpoint"))
        yield cloud, stack.attributes(stack.create().outputs)


@pytest.fixture
def stack(endpoint: tuple[LocalCloud, Endpoint], earlier: Path, tmp_path: Path) -> Upgraded:
    stack = Upgraded(endpoint[0], tmp_path, endpoint=endpoint[1])
    stack.deploy_the_release_before(earlier, "create")
    return stack


def test_releases_beside_the_first_code_are_refused_and_code_alone_is_rolled_back_anywhere(
    stack: Upgraded,
) -> None:
    callers = stack.by_component()
    with callers.calling(2):
        refused = stack.deploy(AFTER, releases=True)
        assert refused.startswith("UPDATE_ROLLBACK_COMPLETE Tenants")
        assert "deploy once without 'releases', then with them" in refused
        assert len(stack.after_fleet) > 5
        for resource in stack.after_fleet:
            failed = stack.deploy(BEFORE, fails_after=resource)
            assert failed.startswith("UPDATE_ROLLBACK_COMPLETE Failing ")
            assert (stack.newest().outcome, stack.newest().undo) == (Outcome.CONVERGED, True)
        before = stack.newest().number
        assert stack.deploy(BEFORE).startswith("UPDATE_COMPLETE")
    made = stack.newest()
    assert (made.number, made.outcome, made.undo) == (before + 1, Outcome.CONVERGED, False)
    assert (made.changes, made.writes, stack.status()) == (0, 0, 0)
    assert callers.wrong == []
    assert min(callers.answered[name] for name in BEFORE) > 10


def test_releases_and_a_new_version_are_rolled_back_anywhere_once_the_code_is_there(stack: Upgraded) -> None:
    assert stack.deploy(BEFORE).startswith("UPDATE_COMPLETE")
    callers = stack.by_component()
    with callers.calling(2):
        for resource in stack.after_fleet:
            failed = stack.deploy(AFTER, releases=True, fails_after=resource)
            assert failed.startswith("UPDATE_ROLLBACK_COMPLETE Failing ")
            assert (stack.newest().outcome, stack.newest().undo) == (Outcome.CONVERGED, True)
            assert stack.unanswered(BEFORE) == set()
    assert callers.wrong == []
    assert stack.deploy(AFTER, releases=True).startswith("UPDATE_COMPLETE")
    assert (stack.unanswered(AFTER), stack.status()) == (set(), 0)


def test_new_code_alone_mends_the_routes_that_code_without_routes_has_left_dead(
    stack: Upgraded, earlier: Path
) -> None:
    for manifest, releases in ((BEFORE, False), (AFTER, True)):
        assert stack.deploy(manifest, releases=releases).startswith("UPDATE_COMPLETE")
    assert stack.unanswered(AFTER) == set()
    callers = stack.by_component()
    with callers.calling(2):
        stack.deploy_the_release_before(earlier, "update")
        assert stack.unanswered(BEFORE) == {"globex"}, "its route names what that release has deleted"
        before = stack.newest().number
        assert stack.deploy(BEFORE).startswith("UPDATE_COMPLETE")
        made = stack.newest()
        assert (made.number, made.outcome, made.changes) == (before + 1, Outcome.CONVERGED, 0)
        assert stack.unanswered(BEFORE) == set()
        assert stack.status() == 0
    assert callers.wrong == []
    assert stack.deploy(AFTER, releases=True).startswith("UPDATE_COMPLETE")
    assert stack.unanswered(AFTER) == set()
