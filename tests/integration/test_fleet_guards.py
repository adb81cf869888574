"""What a fleet refuses unless a setting allows it, and what it leaves behind: nothing of its own."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_sagemaker.server import LocalCloud
from multi_adapter_inference import DeletionGuard
from tests.integration.by_hand import create_adapter, delete_component
from tests.integration.fleet_stack import (
    Deployment,
    Endpoint,
    Fleet,
    FleetStack,
    leftovers,
    numbered,
    wrong,
)
from tests.profiles import only_writes

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

NEIGHBOUR = f"fleets-{uuid.uuid4().hex[:8]}"
"""A stack whose name begins that of the other: so do its components'."""
FEW, MANY = numbered(3), numbered(12)


@dataclass
class Deployed:
    """A stack with a fleet of many adapters, on an endpoint that others use as well."""

    stack: FleetStack
    endpoint: Endpoint

    def update(self, fleet: Fleet) -> tuple[Deployment, Mapping[str, int]]:
        """Update it; return what became of it, and the writes to SageMaker that it took."""
        admin = self.stack.cloud.admin
        admin.reset_calls()
        deployment = self.stack.update({"Tenants": fleet})
        return deployment, admin.writes()


@pytest.fixture(scope="module")
def deployed(
    cloud: LocalCloud, shared_endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    stack = FleetStack(
        cloud, tmp_path_factory.mktemp("guards"), endpoint=shared_endpoint, name=f"{NEIGHBOUR}-eu"
    )
    stack.create({"Tenants": Fleet(adapters=MANY)}).succeeded()
    yield Deployed(stack, shared_endpoint)
    stack.delete().succeeded()


def test_fleet_guards_what_it_has_and_leaves_what_is_not_its_own(deployed: Deployed, tmp_path: Path) -> None:
    guards_its_adapters_until_a_setting_allows_more(deployed)
    leaves_what_is_not_its_own_when_it_is_deleted(deployed, tmp_path)


def guards_its_adapters_until_a_setting_allows_more(deployed: Deployed) -> None:
    refused, writes = deployed.update(Fleet(adapters=FEW))
    assert refused.status == "UPDATE_ROLLBACK_COMPLETE", refused.reason
    assert "9 of 12 adapters would be deleted, and 'deletion_guard' allows 20%" in refused.reason
    assert writes == {}
    assert deployed.stack.wrong("Tenants", deployed.endpoint.name, MANY) == {}

    done, writes = deployed.update(Fleet(adapters=FEW, settings={"deletion_guard": DeletionGuard.off()}))
    done.succeeded()
    assert only_writes(writes, {"DeleteInferenceComponent": 9})
    assert done.outputs["TenantsSummary"] == "3 of 3 adapters in service"


def leaves_what_is_not_its_own_when_it_is_deleted(deployed: Deployed, tmp_path: Path) -> None:
    cloud, endpoint = deployed.stack.cloud, deployed.endpoint
    going = FleetStack(cloud, tmp_path, endpoint=endpoint, name=NEIGHBOUR)
    going.create({"Tenants": Fleet(adapters=FEW)}).succeeded()
    by_hand = going.component("Tenants", "by-hand")
    create_adapter(cloud, by_hand, going.archives.uri("shout"), endpoint=endpoint.name, base=endpoint.base)

    going.delete().succeeded()

    stay = {deployed.stack.component("Tenants", name): label for name, label in FEW.items()}
    assert wrong(cloud, endpoint.name, stay | {by_hand: "shout"}, prefix=NEIGHBOUR) == {}
    left = [text for text in leftovers(cloud, going.name) if deployed.stack.name not in text]
    assert [text for text in left if by_hand not in text] == []
    delete_component(cloud, by_hand)
