"""A fleet takes over adapters that were made by hand, without one of them being created again."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import V1, ByHand, adapters, client, create_adapter, tags_of, wait_for_service
from tests.integration.fleet_stack import (
    Endpoint,
    Fleet,
    FleetStack,
    components,
    numbered,
    wrong,
)
from tests.profiles import only_writes

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

ADAPTERS = numbered(12)
TAKE_OVER = ("import", "--take-over", "--yes")
UPDATED, REMOVED, TAGGED = "a000", "a001", "a002"


def creation_times(cloud: LocalCloud, endpoint: str) -> dict[str, datetime]:
    return {name: item["CreationTime"] for name, item in components(cloud, endpoint).items()}


@pytest.fixture
def by_hand(cloud: LocalCloud) -> Iterator[ByHand]:
    """An endpoint with the adapters, each created as a notebook would."""
    with ByHand(cloud) as made:
        archives = {label: made.archive(V1 / label) for label in set(ADAPTERS.values())}
        for name, label in ADAPTERS.items():
            tags = {"owner": "Ann"} if name == TAGGED else {}
            place = {"endpoint": made.endpoint, "base": made.base}
            create_adapter(cloud, f"{made.endpoint}-{name}", archives[label], tags=tags, **place)
        for name in ADAPTERS:
            wait_for_service(cloud, f"{made.endpoint}-{name}")
        yield made


@pytest.fixture
def stack(cloud: LocalCloud, by_hand: ByHand, tmp_path: Path) -> Iterator[FleetStack]:
    endpoint = Endpoint(name=by_hand.endpoint, base=by_hand.base, archives=by_hand.bucket)
    stack = FleetStack(cloud, tmp_path, endpoint=endpoint)
    yield stack
    stack.delete().succeeded()
    assert by_hand.components() == [by_hand.base]


def test_fleet_takes_over_what_was_made_by_hand_and_leaves_what_a_stack_has(
    cloud: LocalCloud, by_hand: ByHand, stack: FleetStack
) -> None:
    manifest = takes_them_over_with_their_tags_alone(cloud, by_hand, stack)
    leaves_the_component_of_a_stack_out(cloud, by_hand, stack)
    manages_them_from_then_on(cloud, by_hand, stack, manifest)


def takes_them_over_with_their_tags_alone(
    cloud: LocalCloud, by_hand: ByHand, stack: FleetStack
) -> dict[str, Any]:
    created = creation_times(cloud, by_hand.endpoint)
    cloud.admin.reset_calls()
    stack.create({"Tenants": Fleet()}).succeeded()
    done = adapters(cloud, *TAKE_OVER, "--endpoint", by_hand.endpoint, "--stack", stack.name)
    assert done.exit_code == 0, done.stderr
    deployed = stack.update({"Tenants": Fleet(document=done.stdout)}).succeeded()
    assert deployed.outputs["TenantsSummary"] == "12 of 12 adapters in service"
    assert len(created) == 13
    assert creation_times(cloud, by_hand.endpoint) == created
    assert only_writes(cloud.admin.writes(), {"AddTags": 12})

    tags = tags_of(cloud, f"{by_hand.endpoint}-{TAGGED}")
    assert tags["owner"] == "Ann"
    assert tags.keys() == {"owner", "fleet-uid"}
    return dict(yaml.safe_load(done.stdout))


def leaves_the_component_of_a_stack_out(cloud: LocalCloud, by_hand: ByHand, stack: FleetStack) -> None:
    stacks, endpoint = client(cloud, "cloudformation"), by_hand.endpoint
    native, uri = f"{endpoint}-native", stack.archives.uri("summary-v2")
    specification = {"BaseInferenceComponentName": by_hand.base, "Container": {"ArtifactUrl": uri}}
    properties = {
        "InferenceComponentName": native,
        "EndpointName": endpoint,
        "Specification": specification,
    }
    resource = {"Type": "AWS::SageMaker::InferenceComponent", "Properties": properties}
    stacks.create_stack(StackName="Native", TemplateBody=json.dumps({"Resources": {"Adapter": resource}}))
    stacks.get_waiter("stack_create_complete").wait(StackName="Native", WaiterConfig={"Delay": 1})
    done = adapters(cloud, *TAKE_OVER, "--endpoint", endpoint, "--stack", stack.name)
    assert done.exit_code == 1
    assert f"adapters: {native}: it belongs to stack 'Native' and is left out" in done.stderr
    assert native not in done.stdout
    stacks.delete_stack(StackName="Native")
    stacks.get_waiter("stack_delete_complete").wait(StackName="Native", WaiterConfig={"Delay": 1})
    assert native not in components(cloud, endpoint)


def manages_them_from_then_on(
    cloud: LocalCloud, by_hand: ByHand, stack: FleetStack, manifest: dict[str, Any]
) -> None:
    prefix = by_hand.endpoint
    entries = {entry["component"]: entry for entry in manifest["adapters"]}
    updated = entries[f"{prefix}-{UPDATED}"]
    updated["artifact"] = stack.archives.uri("summary-v2")
    del updated["digest"]
    del entries[f"{prefix}-{REMOVED}"]
    cloud.admin.reset_calls()
    stack.update({"Tenants": Fleet(document=json.dumps({"adapters": list(entries.values())}))}).succeeded()
    assert only_writes(cloud.admin.writes(), {"UpdateInferenceComponent": 1, "DeleteInferenceComponent": 1})
    expected = {f"{prefix}-{name}": label for name, label in ADAPTERS.items() if name != REMOVED}
    expected[f"{prefix}-{UPDATED}"] = "summary-v2"
    assert wrong(cloud, prefix, expected, prefix=f"{prefix}-a") == {}
