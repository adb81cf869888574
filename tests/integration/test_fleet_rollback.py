"""Deployments that fail: the endpoint serves exactly what it served before, asked adapter by adapter."""

import re
from pathlib import Path

import pytest
from aws_cdk import Duration

from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.registry import Registry
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import Releases
from tests.integration.by_hand import client
from tests.integration.fleet_stack import (
    BROKEN,
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
OTHERS = {f"a{number:03}": label for number, label in enumerate(["summary-v2"] * 6)} | numbered(8, first=100)
"""Two of the adapters gone, the others changed, and more new ones than a guard lets a fleet delete."""


def test_failed_deployments_are_rolled_back_to_the_manifest_before_and_the_next_starts_from_there(
    stack: FleetStack, shared_endpoint: Endpoint
) -> None:
    first = stack.create({"Tenants": Fleet(adapters=BEFORE)}).succeeded()
    registry = Registry(first.outputs["TenantsTable"], client(stack.cloud, "dynamodb"))

    # One adapter more fails than the limit allows.
    failed = stack.update({"Tenants": Fleet(adapters=OTHERS | {"bad": BROKEN})})
    assert failed.status == "UPDATE_ROLLBACK_COMPLETE", failed.reason
    words = r"1 of the \d+ adapters that this changes failed, and 'failure_policy' allows 0: bad: "
    assert re.search(words, failed.reason)
    assert failed.outputs["TenantsSummary"] == "8 of 8 adapters in service"
    assert stack.wrong("Tenants", shared_endpoint.name, BEFORE) == {}

    # The fleet succeeds, and another resource after it does not.
    before = newest(registry)
    failed = stack.update({"Tenants": Fleet(adapters=OTHERS)}, broken=["Tenants"])
    assert failed.status == "UPDATE_ROLLBACK_COMPLETE", failed.reason
    assert list(failed.reasons) == ["FailingTenants"]
    generations = [registry.generations.find(number) for number in range(before + 1, newest(registry) + 1)]
    assert [one.outcome for one in generations if one] == [Outcome.CONVERGED, Outcome.CONVERGED]
    assert stack.wrong("Tenants", shared_endpoint.name, BEFORE) == {}

    stack.cloud.admin.reset_calls()
    stack.update({"Tenants": Fleet(adapters=BEFORE | {"a008": "summary"})}).succeeded()
    assert only_writes(stack.cloud.admin.writes(), {"CreateInferenceComponent": 1})


def newest(registry: Registry) -> int:
    """Return the number of the newest generation."""
    fleet = registry.fleet()
    assert fleet is not None
    return fleet.generation


WRITES = ("CreateInferenceComponent", "UpdateInferenceComponent", "DeleteInferenceComponent", "AddTags")


def test_deployment_that_is_throttled_is_told(
    cloud: LocalCloud, shared_endpoint: Endpoint, tmp_path: Path
) -> None:
    stack = FleetStack(cloud, tmp_path, endpoint=shared_endpoint)
    settings = {"timeout": Duration.seconds(20), "releases": Releases()}
    created = stack.create({"Tenants": Fleet(adapters=numbered(3), settings=settings)}).succeeded()
    registry = Registry(created.outputs["TenantsTable"], client(cloud, "dynamodb"))
    before = registry.routes.read()

    for operation in WRITES:
        cloud.admin.fail_calls(operation, code="ThrottlingException", message="Rate exceeded", times=None)
    failed = stack.update({"Tenants": Fleet(adapters=numbered(3, shift=1), settings=settings)})
    assert failed.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "3 adapters are pending (a000, a001, a002), and nothing of what this changes" in failed.reason
    assert "Rate exceeded" in failed.reason
    assert failed.outputs["TenantsSummary"] == "3 of 3 adapters in service"
    assert registry.routes.read() == before
    cloud.admin.clear_faults()
    stack.delete().succeeded()


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
