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
    """A stack with an endpoint and a fleet."""

    def __init__(self, stack: FleetStack, first: Deployment) -> None:
        self.stack, self.first = stack, first
        self.endpoint = first.outputs["EndpointName"]
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
        """Invoke all; return what is not as the first manifest says."""
        return self.stack.wrong("Tenants", self.endpoint, BEFORE)


@pytest.fixture(scope="module")
def deployed(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    stack = FleetStack(cloud, tmp_path_factory.mktemp("rollback"))
    first = stack.create({"Tenants": Fleet(adapters=BEFORE)})
    assert first.status == "CREATE_COMPLETE", first.reason
    yield Deployed(stack, first)
    deleted = stack.delete()
    assert deleted.status == "DELETE_COMPLETE", deleted.reason


def test_fleet_serves_every_adapter_of_its_manifest(deployed: Deployed) -> None:
    assert deployed.first.outputs["TenantsSummary"] == "8 of 8 adapters in service"
    assert deployed.wrong() == {}


def test_deployment_over_the_failure_limit_is_rolled_back_to_the_manifest_before(deployed: Deployed) -> None:
    failed = deployed.stack.update({"Tenants": Fleet(adapters=OTHERS | {"bad": BROKEN})})
    assert failed.status == "UPDATE_ROLLBACK_COMPLETE", failed.reason
    assert (
        "1 of the 10 adapters that this changes failed, and 'failure_policy' allows 0: bad: " in failed.reason
    )
    assert failed.outputs["TenantsSummary"] == "8 of 8 adapters in service"
    assert deployed.wrong() == {}


def test_deployment_that_added_five_times_the_fleet_is_rolled_back_as_well(deployed: Deployed) -> None:
    failed = deployed.stack.update({"Tenants": Fleet(adapters=SIX_TIMES)})
    assert failed.status == "UPDATE_ROLLBACK_COMPLETE", failed.reason
    assert re.search(r"[34] of the 40 adapters that this changes failed, .*policy' allows 2", failed.reason)
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
    changed = deployed.stack.update({"Tenants": Fleet(adapters=BEFORE | {"a008": "summary"})})
    assert changed.status == "UPDATE_COMPLETE", changed.reason
    assert only_writes(deployed.stack.cloud.admin.writes(), {"CreateInferenceComponent": 1})


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
