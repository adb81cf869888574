"""A deployment that applied nothing is not green."""

import pytest
from aws_cdk import Duration

from adapter_fleet.fleet.state.registry import Registry
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import Releases
from tests.integration.by_hand import client
from tests.integration.fleet_stack import Fleet, FleetStack, numbered

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

SETTINGS = {"timeout": Duration.seconds(20), "releases": Releases()}
WRITES = ("CreateInferenceComponent", "UpdateInferenceComponent", "DeleteInferenceComponent", "AddTags")


def test_deployment_that_is_throttled_is_told(stack: FleetStack, cloud: LocalCloud) -> None:
    created = stack.create({"Tenants": Fleet(adapters=numbered(3), settings=SETTINGS)}).succeeded()
    registry = Registry(created.outputs["TenantsTable"], client(cloud, "dynamodb"))
    before = registry.read_routes()

    for operation in WRITES:
        cloud.admin.fail_calls(operation, code="ThrottlingException", message="Rate exceeded", times=None)
    failed = stack.update({"Tenants": Fleet(adapters=numbered(3, shift=1), settings=SETTINGS)})
    assert failed.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "3 adapters are pending (a000, a001, a002), and nothing of what this changes" in failed.reason
    assert "Rate exceeded" in failed.reason
    assert failed.outputs["TenantsSummary"] == "3 of 3 adapters in service"
    assert registry.read_routes() == before
    cloud.admin.clear_faults()
