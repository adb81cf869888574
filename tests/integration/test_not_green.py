"""A deployment that applied nothing, and an archive that is gone: neither is green."""

import pytest
from aws_cdk import Duration

from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.fleet.state.registry import Registry
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import DriftCheck, Releases
from tests.integration.by_hand import adapters, client, until
from tests.integration.fleet_stack import Fleet, FleetStack, check_for_drift, metric, numbered

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

SETTINGS = {
    "timeout": Duration.seconds(20),
    "releases": Releases(),
    "drift_check": DriftCheck.report(every=Duration.hours(1)),
}
WRITES = ("CreateInferenceComponent", "UpdateInferenceComponent", "DeleteInferenceComponent", "AddTags")


def test_deployment_that_is_throttled_and_archive_that_is_gone_are_told(
    stack: FleetStack, cloud: LocalCloud
) -> None:
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

    serving = {record.name: record for record in registry.records().values()}
    gone = serving["a001"].serving
    assert gone is not None
    bucket, key = bucket_and_key(gone.uri)
    client(cloud, "s3").delete_object(Bucket=bucket, Key=key)
    planned = adapters(cloud, "plan", "--stack", stack.name)
    assert planned.exit_code == 3
    assert planned.stdout.startswith("a001\tunusable")
    assert "no new copy or restart can load it" in planned.stdout

    def is_told() -> bool:
        check_for_drift(cloud, created.outputs["TenantsMachine"])  # not while another pass is at work
        return "no new copy or restart can load it" in adapters(cloud, "status", "--stack", stack.name).stdout

    until(is_told, "a drift check has told it")
    assert metric(cloud, created.outputs["TenantsUid"], "LostArchives")[0] == 1
