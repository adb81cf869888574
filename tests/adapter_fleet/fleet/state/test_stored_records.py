"""What an earlier release has stored is read by this one, and nothing of it is lost.

`stored_records.json` has the items of two tables, written by the code of commit 7cbcb39. In `filled` every
field of every record has a value, also fields that no release reads any more. `lived` is a fleet after
deployments, a failure, a claim, a pin, an orphan, drift and a refused manifest; `components` are those on its
endpoint.
"""

import base64
import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapter_fleet.common.serialization import unstructured
from adapter_fleet.fleet.state.archive_version import ArchiveVersion
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import OrderKind
from tests.adapter_fleet.fake_service import FakeComponent
from tests.adapter_fleet.fleet_world import World
from tests.adapter_fleet.memory_registry import MemoryRegistry

NO_MORE = {"not_in_place", "update_mode"}
STORED: dict[str, Any] = json.loads(Path(__file__).with_name("stored_records.json").read_bytes())


def load(name: str) -> MemoryRegistry:
    """Return a registry of the items of a stored table."""
    registry = MemoryRegistry()
    for item in STORED[name]["items"]:
        made = {key: binary(value) for key, value in item.items()}
        registry.items.setdefault(item["pk"]["S"], {})[item["sk"]["S"]] = made
    return registry


def read_by_this_release(text: str) -> Any:
    """Return a stored document without the fields that no release reads any more."""
    return json.loads(
        text, object_hook=lambda found: {key: value for key, value in found.items() if key not in NO_MORE}
    )


def binary(value: dict[str, Any]) -> dict[str, Any]:
    return {"B": base64.b64decode(value["B"])} if "B" in value else value


@pytest.mark.parametrize("name", ["filled", "lived"])
def test_every_document_is_the_same_after_it_was_read_into_a_record_and_written_again(name: str) -> None:
    registry = load(name)
    stored: defaultdict[str, list[Any]] = defaultdict(list)
    for pk, items in registry.items.items():
        stored[pk.partition("#")[0]] += [
            read_by_this_release(item["doc"]["S"]) for item in items.values() if "doc" in item
        ]
    components = dict.fromkeys(document["component"] for document in stored["history"])
    generations = [registry.generations.find(document["number"]) for document in stored["generations"]]
    read: dict[str, Sequence[object]] = {
        "records": list(registry.records.all().values()),
        "orders": registry.orders.all(),
        "archives": [registry.archives.find(document["version"]["uri"]) for document in stored["archives"]],
        "history": [event for one in components for event in reversed(registry.events.newest(one, 100))],
        "generations": [
            replace(made, outcome=Outcome.OPEN, reason=None, ended=None) for made in generations if made
        ],
    }
    for pk, records in read.items():
        assert [unstructured(one) for one in records] == stored[pk] != []
    for made, item in zip(generations, registry.items["generations"].values(), strict=True):
        assert made is not None
        assert {"reason": made.reason, "ended": made.ended} == json.loads(item["end"]["S"])
        assert made.outcome == item["outcome"]["S"]
        chunks = registry.items[item["desired"]["S"]].values()
        wanted = gzip.decompress(b"".join(chunk["bytes"]["B"] for chunk in chunks))
        assert registry.generations.desired(made.number).to_json() == wanted


@pytest.mark.parametrize("name", ["filled", "lived"])
def test_fleet_and_its_lease_are_those_that_were_stored(name: str) -> None:
    registry = load(name)
    item, lease = registry.items["fleet"]["fleet"], registry.items["fleet"]["lease"]
    learned = json.loads(gzip.decompress(item["learned"]["B"]))
    texts = {key: item[key]["S"] for key in ("uid", "name", "machine", "runner")}
    numbers = {key: float(item[key]["N"]) for key in ("generation", "runner_at")}
    assert unstructured(registry.fleet()) == {**texts, **numbers, **learned}
    taken = registry.acquire("next pass", float(lease["until"]["N"]) + 1.0, 60.0)
    assert taken is not None
    assert taken.token == int(lease["token"]["N"]) + 1


@pytest.fixture
def world() -> World:
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
    world.registry = load("lived")
    world.reconciler = replace(world.reconciler, registry=world.registry)
    return world


def test_fleet_that_has_converged_is_left_as_it_is(world: World) -> None:
    before = world.registry.records.all()
    world.trigger("order")
    assert world.results[-1].done
    assert world.writes() == []
    # The release that stored them kept the number of an import after the import had converged.
    imports = {name: replace(record, claimed=None) for name, record in before.items()}
    assert world.registry.records.all() == imports


def test_fleet_goes_on_from_what_is_stored(world: World) -> None:
    (pin,) = world.registry.orders.all()
    assert (pin.kind, pin.component) == (OrderKind.PIN, "p-acme")
    declared = {adapter.name: adapter for adapter in world.registry.generations.desired(2).adapters}
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
