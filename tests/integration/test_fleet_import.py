"""Adapters made by hand become a fleet's, without one of them being created again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import yaml

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import V1, ByHand, adapters, client, write
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

FIFTY = numbered(50)
TAKE_OVER = ("import", "--take-over", "--yes")
UPDATED, REMOVED, TAGGED = "a000", "a001", "a002"


@dataclass
class Imported:
    """A fleet that has taken over what was made by hand, and what that took."""

    stack: FleetStack
    by_hand: ByHand
    manifest: dict[str, Any]
    created: dict[str, datetime]
    writes: dict[str, int]


def made_by_hand(cloud: LocalCloud, on: ByHand) -> None:
    """Create the adapters, each as a notebook would."""
    sagemaker = client(cloud, "sagemaker")
    archives = {label: on.archive(V1 / label) for label in set(FIFTY.values())}
    for name, label in FIFTY.items():
        write(
            sagemaker.create_inference_component,
            InferenceComponentName=f"{on.endpoint}-{name}",
            EndpointName=on.endpoint,
            Specification={
                "BaseInferenceComponentName": on.base,
                "Container": {"ArtifactUrl": archives[label]},
            },
            Tags=[{"Key": "owner", "Value": "Ann"}] if name == TAGGED else [],
        )
    for name in FIFTY:
        on.wait(f"{on.endpoint}-{name}")


def creation_times(cloud: LocalCloud, endpoint: str) -> dict[str, datetime]:
    return {name: item["CreationTime"] for name, item in components(cloud, endpoint).items()}


@pytest.fixture(scope="module")
def imported(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    folder = tmp_path_factory.mktemp("import")
    with ByHand(cloud) as by_hand:
        made_by_hand(cloud, by_hand)
        created = creation_times(cloud, by_hand.endpoint)
        endpoint = Endpoint(name=by_hand.endpoint, base=by_hand.base, archives=by_hand.bucket)
        stack = FleetStack(cloud, folder, endpoint=endpoint)
        cloud.admin.reset_calls()
        empty = stack.create({"Tenants": Fleet()})
        assert empty.status == "CREATE_COMPLETE", empty.reason
        path = folder / "imported.yaml"
        done = adapters(cloud, *TAKE_OVER, "--endpoint", by_hand.endpoint, "--stack", stack.name)
        assert done.exit_code == 0, done.stderr
        path.write_text(done.stdout)
        deployed = stack.update({"Tenants": Fleet(document=path.read_text())})
        assert deployed.status == "UPDATE_COMPLETE", deployed.reason
        assert deployed.outputs["TenantsSummary"] == "50 of 50 adapters in service"
        yield Imported(stack, by_hand, yaml.safe_load(path.read_text()), created, cloud.admin.writes())
        assert stack.delete().status == "DELETE_COMPLETE"
        assert by_hand.components() == [by_hand.base]


def test_adapters_are_not_created_again(imported: Imported, cloud: LocalCloud) -> None:
    assert len(imported.created) == 51
    assert creation_times(cloud, imported.by_hand.endpoint) == imported.created


def test_tagging_each_is_the_only_write(imported: Imported) -> None:
    assert only_writes(imported.writes, {"AddTags": 50})


def test_tags_that_were_there_stay(imported: Imported, cloud: LocalCloud) -> None:
    name = f"{imported.by_hand.endpoint}-{TAGGED}"
    sagemaker = client(cloud, "sagemaker")
    arn = sagemaker.describe_inference_component(InferenceComponentName=name)["InferenceComponentArn"]
    tags = {item["Key"]: item["Value"] for item in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    assert tags["owner"] == "Ann"
    assert tags.keys() == {"owner", "fleet-uid"}


def test_component_of_a_stack_is_left_out_and_stays_its_stack_s(
    imported: Imported, cloud: LocalCloud
) -> None:
    stacks, endpoint = client(cloud, "cloudformation"), imported.by_hand.endpoint
    native, uri = f"{endpoint}-native", imported.stack.archives.uri("summary-v2")
    specification = {
        "BaseInferenceComponentName": imported.by_hand.base,
        "Container": {"ArtifactUrl": uri},
    }
    properties = {
        "InferenceComponentName": native,
        "EndpointName": endpoint,
        "Specification": specification,
    }
    resource = {"Type": "AWS::SageMaker::InferenceComponent", "Properties": properties}
    stacks.create_stack(StackName="Native", TemplateBody=json.dumps({"Resources": {"Native": resource}}))
    stacks.get_waiter("stack_create_complete").wait(StackName="Native", WaiterConfig={"Delay": 1})
    done = adapters(cloud, *TAKE_OVER, "--endpoint", endpoint, "--stack", imported.stack.name)
    assert done.exit_code == 1
    assert f"adapters: {native}: it belongs to stack 'Native' and is left out" in done.stderr
    assert native not in done.stdout
    named = {**imported.manifest, "adapters": [*imported.manifest["adapters"]]}
    named["adapters"].append({"name": "native", "artifact": uri, "component": native})
    changed = imported.stack.update({"Tenants": Fleet(document=json.dumps(named))})
    assert "belongs to stack 'Native'" in changed.reason
    assert changed.status == "UPDATE_ROLLBACK_COMPLETE"
    stacks.delete_stack(StackName="Native")
    stacks.get_waiter("stack_delete_complete").wait(StackName="Native", WaiterConfig={"Delay": 1})
    assert native not in components(cloud, endpoint)


def test_they_are_managed_from_then_on(imported: Imported, cloud: LocalCloud) -> None:
    prefix = imported.by_hand.endpoint
    adapters = {entry["component"]: entry for entry in imported.manifest["adapters"]}
    updated = adapters[f"{prefix}-{UPDATED}"]
    updated["artifact"] = imported.stack.archives.uri("summary-v2")
    del updated["digest"]
    del adapters[f"{prefix}-{REMOVED}"]
    cloud.admin.reset_calls()

    document = json.dumps({"adapters": list(adapters.values())})
    changed = imported.stack.update({"Tenants": Fleet(document=document)})

    assert changed.status == "UPDATE_COMPLETE", changed.reason
    assert only_writes(cloud.admin.writes(), {"UpdateInferenceComponent": 1, "DeleteInferenceComponent": 1})
    expected = {f"{prefix}-{name}": label for name, label in FIFTY.items() if name != REMOVED}
    expected[f"{prefix}-{UPDATED}"] = "summary-v2"
    assert wrong(cloud, prefix, expected, prefix=f"{prefix}-a") == {}
