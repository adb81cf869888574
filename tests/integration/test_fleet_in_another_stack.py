"""A fleet in another stack than its endpoint, on AWS's vLLM container: each can be changed while the other is
there."""

import uuid
from pathlib import Path

import aws_cdk as cdk
import pytest

from adapter_fleet.fleet.state.registry import Registry
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import InstanceType, VllmContainer, VllmVersion
from tests.integration.by_hand import client
from tests.integration.fleet_stack import Fleet, FleetStack, cdk_stack, numbered, wrong

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

ADAPTERS = numbered(4)
FLEETS = {"Tenants": Fleet(adapters=ADAPTERS)}


class Part(FleetStack):
    """One of the two stacks of an app, `<prefix>-endpoint` and `<prefix>-fleets`."""

    def __init__(self, cloud: LocalCloud, folder: Path, prefix: str, part: str) -> None:
        super().__init__(cloud, folder, name=f"{prefix}-{part}")
        self.prefix = prefix
        self.instance_type = InstanceType.ML_G5_12XLARGE  # with room for the update
        self.container = VllmContainer(version=VllmVersion.V2_6)

    def _cdk_stacks(self, app: cdk.App) -> tuple[cdk.Stack, cdk.Stack]:
        return cdk_stack(app, f"{self.prefix}-endpoint"), cdk_stack(app, f"{self.prefix}-fleets")


def test_container_of_the_base_is_changed_and_the_fleet_is_told_in_its_own_next_deployment(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    prefix = f"apart-{uuid.uuid4().hex[:8]}"
    first, second = (Part(cloud, tmp_path, prefix, part) for part in ("endpoint", "fleets"))
    created = first.create(FLEETS).succeeded()
    endpoint, base = created.outputs["EndpointName"], created.outputs["BaseComponentName"]
    made = second.create(FLEETS).succeeded()
    assert wrong(cloud, endpoint, {base: "base"}) == {}
    registry = Registry(made.outputs["TenantsTable"], client(cloud, "dynamodb"))
    version = registry.fleet().base_version  # type: ignore[union-attr]

    another = VllmContainer(version=VllmVersion.V2_6, environment={"SM_VLLM_SEED": "1"})
    first.container = second.container = another
    first.update(FLEETS).succeeded()
    second.update(FLEETS).succeeded()
    assert registry.fleet().base_version != version  # type: ignore[union-attr]
    assert second.wrong("Tenants", endpoint, ADAPTERS) == {}

    for part in (second, first):
        part.delete().succeeded()
