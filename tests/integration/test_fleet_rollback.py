"""Deployments that fail: the endpoint serves exactly what it served before, asked adapter by adapter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.registry import Registry
from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import client
from tests.integration.fleet_stack import (
    BROKEN,
    Deployment,
    Endpoint,
    Fleet,
    FleetStack,
    components,
    leftovers,
    numbered,
)
from tests.profiles import only_writes

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

BEFORE = numbered(8)
SIX_TIMES = numbered(44) | {f"bad{number}": BROKEN for number in range(4)}
OTHERS = {f"a{number:03}": label for number, label in enumerate(["summary-v2"] * 6)} | {"a100": "shout"}
"""Two of the adapters gone, one new, and the rest changed."""


class Deployed:
    """A stack with a fleet, and the adapters that it should serve."""

    def __init__(self, stack: FleetStack, endpoint: str, first: Deployment) -> None:
        self.stack, self.endpoint, self.first = stack, endpoint, first
        self.adapters = BEFORE
        self.registry = Registry(first.outputs["TenantsTable"], client(stack.cloud, "dynamodb"))

    def outcomes(self, before: int) -> list[Outcome]:
        """Return what became of the generations after one of that number."""
        fleet = self.registry.fleet()
        assert fleet is not None
        generations = [self.registry.generation(number) for number in range(before + 1, fleet.generation + 1)]
        return [generation.outcome for generation in generations if generation is not None]

    def newest(self) -> int:
        """Return the number of the newest generation."""
        fleet = self.registry.fleet()
        assert fleet is not None
        return fleet.generation

    def wrong(self) -> dict[str, str]:
        """Invoke all; return what is not as it should be."""
        return self.stack.wrong("Tenants", self.endpoint, self.adapters)


@pytest.fixture(scope="module")
def deployed(
    cloud: LocalCloud, shared_endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    stack = FleetStack(cloud, tmp_path_factory.mktemp("rollback"), endpoint=shared_endpoint)
    first = stack.create({"Tenants": Fleet(adapters=BEFORE)})
    assert first.status == "CREATE_COMPLETE", first.reason
    made = Deployed(stack, shared_endpoint.name, first)
    assert made.wrong() == {}
    yield made
    deleted = stack.delete()
    assert deleted.status == "DELETE_COMPLETE", deleted.reason


def test_deployment_over_the_failure_limit_is_rolled_back_to_the_manifest_before(deployed: Deployed) -> None:
    failed = deployed.stack.update({"Tenants": Fleet(adapters=OTHERS | {"bad": BROKEN})})
    assert failed.status == "UPDATE_ROLLBACK_COMPLETE", failed.reason
    words = r"1 of the 1\d adapters that this changes failed, and 'failure_policy' allows 0: bad: "
    assert re.search(words, failed.reason)
    count = len(deployed.adapters)
    assert failed.outputs["TenantsSummary"] == f"{count} of {count} adapters in service"
    assert deployed.wrong() == {}


def test_deployment_that_added_five_times_the_fleet_is_rolled_back_as_well(deployed: Deployed) -> None:
    failed = deployed.stack.update({"Tenants": Fleet(adapters=SIX_TIMES)})
    assert failed.status == "UPDATE_ROLLBACK_COMPLETE", failed.reason
    assert re.search(r"[34] of the 4\d adapters that this changes failed, .*policy' allows 2", failed.reason)
    assert deployed.wrong() == {}


def test_fleet_that_succeeded_goes_back_when_another_resource_fails(deployed: Deployed) -> None:
    before = deployed.newest()
    five_times = numbered(40, first=200)
    failed = deployed.stack.update({"Tenants": Fleet(adapters=OTHERS | five_times)}, broken=["Tenants"])
    assert failed.status == "UPDATE_ROLLBACK_COMPLETE", failed.reason
    assert list(failed.reasons) == ["FailingTenants"]
    assert deployed.outcomes(before) == [Outcome.CONVERGED, Outcome.CONVERGED]
    assert deployed.wrong() == {}


def test_next_deployment_starts_from_what_was_brought_back(deployed: Deployed) -> None:
    deployed.stack.cloud.admin.reset_calls()
    deployed.adapters = BEFORE | {"a008": "summary"}
    changed = deployed.stack.update({"Tenants": Fleet(adapters=deployed.adapters)})
    assert changed.status == "UPDATE_COMPLETE", changed.reason
    assert only_writes(deployed.stack.cloud.admin.writes(), {"CreateInferenceComponent": 1})


def test_fleet_whose_construct_moved_is_refused_as_another_one_and_goes_on_with_its_identifier(
    deployed: Deployed,
) -> None:
    stack, uid = deployed.stack, deployed.first.outputs["TenantsUid"]
    wanted = deployed.adapters | {"moved": "shout"}
    stack.cloud.admin.reset_calls()

    refused = stack.update({"Tenants": Fleet(adapters=wanted, moved_to="Elsewhere")})
    assert refused.status == "UPDATE_ROLLBACK_COMPLETE", refused.reason
    assert f"moved or renamed; give it fleet_uid='{uid}', or bring it back" in refused.reason
    assert stack.cloud.admin.writes() == {}
    assert deployed.wrong() == {}

    moved = Fleet(adapters=wanted, moved_to="Elsewhere", settings={"fleet_uid": uid})
    kept = stack.update({"Tenants": moved})
    assert kept.status == "UPDATE_COMPLETE", kept.reason
    assert kept.outputs["TenantsTable"] == deployed.first.outputs["TenantsTable"]
    assert only_writes(stack.cloud.admin.writes(), {"CreateInferenceComponent": 1})

    back = stack.update({"Tenants": Fleet(adapters=wanted)})
    assert back.status == "UPDATE_COMPLETE", back.reason
    deployed.adapters = wanted
    assert deployed.wrong() == {}


def test_creations_that_fail_leave_nothing(
    cloud: LocalCloud, shared_endpoint: Endpoint, tmp_path: Path
) -> None:
    before = components(cloud, shared_endpoint.name).keys()
    over_the_limit = FleetStack(cloud, tmp_path, endpoint=shared_endpoint)
    over_the_limit.create({"Tenants": Fleet(adapters=BEFORE | {"bad": BROKEN})}, wait=False)
    elsewhere = FleetStack(cloud, tmp_path, endpoint=shared_endpoint)
    elsewhere.create({"Tenants": Fleet(adapters=BEFORE)}, broken=["Tenants"], wait=False)
    for stack, failing, reason in (
        (over_the_limit, "Tenants", "'failure_policy' allows 0"),
        (elsewhere, "FailingTenants", "no-such-base"),
    ):
        failed = stack.wait()
        assert failed.status == "ROLLBACK_COMPLETE", failed.reason
        ((resource, why),) = failed.reasons.items()
        assert resource.startswith(failing)
        assert reason in why
        assert leftovers(cloud, stack.name) == []
        stack.delete()
    assert components(cloud, shared_endpoint.name).keys() == before
