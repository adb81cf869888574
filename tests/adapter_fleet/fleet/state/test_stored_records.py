"""What an earlier release has stored is read by this one, and nothing of it is lost.

`stored_records.json` has the items of two tables, written by the code of commit 7cbcb39. In `filled` every
field of every record has a value. `lived` is a fleet after deployments, a failure, a claim, a pin, an orphan,
drift and a refused manifest; `components` are those on its endpoint.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adapter_fleet.common.serialization import unstructured
from adapter_fleet.fleet.state.archive_version import ArchiveVersion
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.orders import OrderKind
from adapter_fleet.fleet.state.registry import Registry
from tests.adapter_fleet.fake_service import FakeComponent
from tests.adapter_fleet.fleet_world import World

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.integration

STORED: dict[str, Any] = json.loads(Path(__file__).with_name("stored_records.json").read_bytes())
TABLES = ("filled", "lived")

Load = Callable[[str], Registry]


@pytest.fixture
def load(dynamodb: DynamoDBClient, table: str) -> Load:
    """Put the items of a stored table into a new one, and return the registry on it."""

    def loaded(name: str) -> Registry:
        for item in STORED[name]["items"]:
            dynamodb.put_item(TableName=table, Item={key: binary(value) for key, value in item.items()})
        return Registry(table, dynamodb)

    return loaded


def binary(value: dict[str, Any]) -> dict[str, Any]:
    return {"B": base64.b64decode(value["B"])} if "B" in value else value


def documents(name: str, pk: str) -> list[Any]:
    """The JSON documents of a stored table whose partition key begins like this."""
    return [json.loads(item["doc"]["S"]) for item in STORED[name]["items"] if item["pk"]["S"].startswith(pk)]


@pytest.mark.parametrize("name", TABLES)
class TestReading:
    """Every document is the same after it was read into a record and written again."""

    @pytest.mark.parametrize("pk", ["records", "orders", "archives", "history#"])
    def test_documents(self, load: Load, name: str, pk: str) -> None:
        registry, stored = load(name), documents(name, pk)
        read: list[Any]
        match pk:
            case "records":
                read = list(registry.records().values())
            case "orders":
                read = registry.orders()
            case "archives":
                read = [registry.known_archive(document["version"]["uri"]) for document in stored]
            case _:
                components = dict.fromkeys(document["component"] for document in stored)
                read = [event for one in components for event in reversed(registry.history(one, 100))]
        assert [unstructured(one) for one in read] == stored != []

    def test_generations(self, load: Load, name: str) -> None:
        registry, stored = load(name), documents(name, "generations")
        items = [item for item in STORED[name]["items"] if item["pk"]["S"] == "generations"]
        assert stored
        for document, item in zip(stored, items, strict=True):
            read = registry.generation(document["number"])
            assert read is not None
            assert unstructured(replace(read, outcome=Outcome.OPEN, reason=None, ended=None)) == document
            assert {"reason": read.reason, "ended": read.ended} == json.loads(item["end"]["S"])
            assert read.outcome == item["outcome"]["S"]

    def test_desired_states(self, load: Load, name: str) -> None:
        registry = load(name)
        chunks: defaultdict[str, bytes] = defaultdict(bytes)
        for item in STORED[name]["items"]:
            if item["pk"]["S"].startswith("desired#"):
                chunks[item["pk"]["S"]] += base64.b64decode(item["bytes"]["B"])
        wants = {
            int(item["sk"]["S"]): gzip.decompress(chunks[item["desired"]["S"]])
            for item in STORED[name]["items"]
            if item["pk"]["S"] == "generations"
        }
        assert wants == {number: registry.desired(number).to_json() for number in wants}

    def test_fleet(self, load: Load, name: str) -> None:
        (item,) = (
            item for item in STORED[name]["items"] if (item["pk"], item["sk"]) == ({"S": "fleet"},) * 2
        )
        attributes = {
            "uid": item["uid"]["S"],
            "name": item["name"]["S"],
            "machine": item["machine"]["S"],
            "generation": int(item["generation"]["N"]),
            "runner": item["runner"]["S"],
            "runner_at": float(item["runner_at"]["N"]),
        }
        learned = json.loads(gzip.decompress(base64.b64decode(item["learned"]["B"])))
        fleet = load(name).fleet()
        assert unstructured(fleet) == {**attributes, **learned}

    def test_lease(self, load: Load, name: str) -> None:
        (item,) = (item for item in STORED[name]["items"] if item["sk"]["S"] == "lease")
        lease = load(name).acquire("next pass", float(item["until"]["N"]) + 1.0, 60.0)
        assert lease is not None
        assert lease.token == int(item["token"]["N"]) + 1


@pytest.fixture
def world(load: Load) -> World:
    """The fleet that `lived`, with this release's passes."""
    stored = STORED["lived"]
    world = World(settings=FleetSettings(request_rate=10.0, failures=FailureLimit(count=1)))
    world.clock.time = stored["time"]
    service = world.service
    service.remove("base")
    for component in stored["components"]:
        made = FakeComponent(**{**component, "status": Status(component["status"])})
        service.components[made.name] = made
        service._note(made.name, made.modified)
    for uri, digest in stored["archives"].items():
        service.archives[uri] = ArchiveVersion(uri=uri, etag=uri, size=1, modified=0.0)
        service.identities[uri] = digest
    world.registry = load("lived")  # type: ignore[assignment]
    world.reconciler = replace(world.reconciler, registry=world.registry)
    return world


def test_fleet_that_has_converged_is_left_as_it_is(world: World) -> None:
    before = world.registry.records()
    world.trigger("order")
    assert world.results[-1].done
    assert world.writes() == []
    # The release that stored them kept the number of an import after the import had converged.
    imports = {name: replace(record, claimed=None) for name, record in before.items()}
    assert world.registry.records() == imports


def test_fleet_goes_on_from_what_is_stored(world: World) -> None:
    (pin,) = world.registry.orders()
    assert (pin.kind, pin.component) == (OrderKind.PIN, "p-acme")
    declared = {adapter.name: adapter for adapter in world.registry.desired(2).adapters}
    del declared["smoked"]
    newer = replace(declared["tagged"].artifact, uri="s3://bucket/tagged/v3.tar.gz", digest=None)
    declared["tagged"] = replace(declared["tagged"], artifact=newer)
    world.events = 10  # no delivery that is stored
    world.apply(*declared.values(), retries=False)
    assert world.newest().outcome is Outcome.CONVERGED
    # The pinned, the claimed and the failed one stay; the orphan is known, and counted by this deployment.
    assert sorted(world.writes()) == [
        "DeleteInferenceComponent p-orphan",
        "DeleteInferenceComponent p-smoked",
        "UpdateInferenceComponent p-tagged",
    ]
    assert pin.artifact is not None
    assert world.serving()["acme"] == pin.artifact.uri
