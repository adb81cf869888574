"""A fleet in another stack than its endpoint: each can be changed while the other is there."""

from __future__ import annotations

import uuid
from pathlib import Path

import aws_cdk as cdk
import pytest

from adapter_fleet.fleet.state.registry import Registry
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import InstanceType, LmiContainer, LmiVersion
from tests.integration.by_hand import client
from tests.integration.fleet_stack import Fleet, FleetStack, cdk_stack, numbered

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

ADAPTERS = numbered(4)
FLEETS = {"Tenants": Fleet(adapters=ADAPTERS)}


class Part(FleetStack):
    """One of the two stacks of an app, `<prefix>-endpoint` and `<prefix>-fleets`."""

    def __init__(self, cloud: LocalCloud, folder: Path, prefix: str, part: str) -> None:
        super().__init__(cloud, folder, name=f"{prefix}-{part}")
        self.prefix = prefix

    def _cdk_stacks(self, app: cdk.App) -> tuple[cdk.Stack, cdk.Stack]:
        return cdk_stack(app, f"{self.prefix}-endpoint"), cdk_stack(app, f"{self.prefix}-fleets")


def test_container_of_the_base_is_changed_and_the_fleet_is_told_in_its_own_next_deployment(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    prefix = f"apart-{uuid.uuid4().hex[:8]}"
    first, second = (Part(cloud, tmp_path, prefix, part) for part in ("endpoint", "fleets"))
    first.instance_type = second.instance_type = InstanceType.ML_G5_12XLARGE  # with room for the update
    created = first.create(FLEETS)
    assert created.status == "CREATE_COMPLETE", created.reason
    endpoint = created.outputs["EndpointName"]
    made = second.create(FLEETS)
    assert made.status == "CREATE_COMPLETE", made.reason
    registry = Registry(made.outputs["TenantsTable"], client(cloud, "dynamodb"))
    version = registry.fleet().base_version  # type: ignore[union-attr]

    another = LmiContainer(version=LmiVersion.V19, environment={"OPTION_SEED": "1"})
    first.container = second.container = another
    changed = first.update(FLEETS)
    assert changed.status == "UPDATE_COMPLETE", changed.reason
    told = second.update(FLEETS)
    assert told.status == "UPDATE_COMPLETE", told.reason
    assert registry.fleet().base_version != version  # type: ignore[union-attr]
    assert second.wrong("Tenants", endpoint, ADAPTERS) == {}

    for part in (second, first):
        deleted = part.delete()
        assert deleted.status == "DELETE_COMPLETE", deleted.reason
