"""A fleet whose construct is elsewhere than before, while its resources are the same: it stays itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_sagemaker.server import LocalCloud
from tests.integration.fleet_stack import Endpoint, Fleet, FleetStack, numbered
from tests.profiles import only_writes

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

BEFORE = numbered(6)
AFTER = BEFORE | {"a006": "shout"}


def test_moved_fleet_is_refused_as_another_one_and_goes_on_with_its_identifier(
    cloud: LocalCloud, shared_endpoint: Endpoint, tmp_path: Path
) -> None:
    stack = FleetStack(cloud, tmp_path, endpoint=shared_endpoint)
    created = stack.create({"Tenants": Fleet(adapters=BEFORE)})
    assert created.status == "CREATE_COMPLETE", created.reason
    uid = created.outputs["TenantsUid"]
    cloud.admin.reset_calls()

    refused = stack.update({"Tenants": Fleet(adapters=AFTER, moved_to="Elsewhere")})
    assert refused.status == "UPDATE_ROLLBACK_COMPLETE", refused.reason
    assert f"moved or renamed; give it fleet_uid='{uid}', or bring it back" in refused.reason
    assert refused.outputs["TenantsUid"] == uid
    assert cloud.admin.writes() == {}
    assert stack.wrong("Tenants", shared_endpoint.name, BEFORE) == {}

    kept = stack.update({"Tenants": Fleet(adapters=AFTER, moved_to="Elsewhere", settings={"fleet_uid": uid})})
    assert kept.status == "UPDATE_COMPLETE", kept.reason
    assert (kept.outputs["TenantsUid"], kept.outputs["TenantsTable"]) == (
        uid,
        created.outputs["TenantsTable"],
    )
    assert only_writes(cloud.admin.writes(), {"CreateInferenceComponent": 1})
    assert stack.wrong("Tenants", shared_endpoint.name, AFTER) == {}

    deleted = stack.delete()
    assert deleted.status == "DELETE_COMPLETE", deleted.reason
    assert stack.live("Tenants", shared_endpoint.name) == {}
