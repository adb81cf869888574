"""CloudFormation and a bucket of manifests as the request handler meets them, and deployments with either."""

import json
from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.common.serialization import unstructured
from adapter_fleet.fleet.requests.handler import RequestHandler, StackState
from adapter_fleet.fleet.requests.is_complete import Completion
from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.fleet.state.generations import Generation, Outcome, Source
from adapter_fleet.fleet.state.rows.leased_table import Lease
from tests.adapter_fleet.fake_service import FakeClock
from tests.adapter_fleet.memory_registry import MemoryRegistry

UID = "fleet-1"
OBJECT = {"Bucket": "manifests", "Key": "live"}


def manifest(*names: str) -> bytes:
    key = "sha256-" + "a" * 64
    return json.dumps(
        {"adapters": [{"name": name, "artifact": f"s3://bucket/{name}/{key}.tar.gz"} for name in names]}
    ).encode()


class Bucket:
    """Objects in S3, with a new version at each write."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.looks = 0

    def put(self, key: str, text: bytes) -> None:
        number = int(self.objects[key][1][1:]) + 1 if key in self.objects else 1
        self.objects[key] = (text, f"v{number}")

    def read(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        return self.objects.get(key)

    def version(self, bucket: str, key: str) -> str | None:
        self.looks += 1
        found = self.objects.get(key)
        return None if found is None else found[1]


class Deployment:
    """CloudFormation, and the functions that it calls."""

    def __init__(self) -> None:
        self.clock, self.registry, self.bucket = FakeClock(), MemoryRegistry(), Bucket()
        self.started: list[tuple[str, str]] = []
        self.settings = FleetSettings(timeout_seconds=600)
        self.requests = 0
        self.rolling_back: bool | None = None
        self.stack_tags: dict[str, str] = {}
        self.handler = RequestHandler(
            uid=UID,
            name="Llm/Tenants",
            machine="arn:machine",
            registry=self.registry,
            manifests=self.bucket,
            clock=self.clock,
            start_machine=lambda trigger, key: self.started.append((trigger, key)),
            describe_stack=lambda stack: self.stack_state(),
        )

    def stack_state(self) -> StackState | None:
        """The state of the stack; None if CloudFormation does not answer."""
        if self.rolling_back is None:
            return None
        return StackState(rolling_back=self.rolling_back, tags=self.stack_tags)

    def event(self, kind: str, *, old: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
        self.requests += 1
        event = {
            "RequestType": kind,
            "StackId": "arn:stack",
            "RequestId": f"request-{self.requests}",
            "ResponseURL": f"https://response/{self.requests}",
            "ResourceProperties": self.properties(**properties),
        }
        if kind != "Create":
            event["PhysicalResourceId"] = UID
        if old is not None:
            event["OldResourceProperties"] = old
        return event

    def properties(self, **further: Any) -> dict[str, Any]:
        return {
            "ServiceToken": "arn:token",
            "FleetUid": UID,
            "FleetName": "Llm/Tenants",
            "EndpointName": "endpoint",
            "BaseComponentName": "base",
            "ComponentPrefix": "p",
            "Settings": json.dumps(unstructured(self.settings)),
            "Tags": {"team": "x"},
            **further,
        }

    def asset(self, key: str, *names: str) -> dict[str, str]:
        self.bucket.put(key, manifest(*names))
        return {"Bucket": "assets", "Key": key, "Digest": key}

    def send(self, event: dict[str, Any]) -> dict[str, Any]:
        """Send an event to the function; return the event as `is_complete` gets it."""
        answer = self.handler.on_event(event)
        self.handler.catch_up(answer["Generation"])
        return {**event, **answer}

    def create(self, *names: str, **properties: Any) -> dict[str, Any]:
        """Create the fleet with a manifest that is an asset."""
        return self.send(self.event("Create", Manifest=self.asset("one", *names), **properties))

    def update(self, new: dict[str, Any], *, old: dict[str, Any]) -> dict[str, Any]:
        """Deploy properties instead of others, as an update or a rollback does."""
        return self.send({**self.event("Update", old=old), "ResourceProperties": new})

    def update_setting(self, seconds: int, *, old: dict[str, Any] | None = None) -> Any:
        self.settings = replace(self.settings, timeout_seconds=seconds)
        event = self.event("Update", ManifestObject=OBJECT, old=old or {})
        self.handler.on_event(event)
        return event["ResourceProperties"]

    def put_manifest(self, text: bytes, sequencer: str = "1") -> Generation | None:
        """Put a manifest into S3, and let its event arrive; return the generation that this makes."""
        self.bucket.put("live", text)
        return self.handler.manifest_changed(sequencer)

    def complete(self, event: dict[str, Any]) -> dict[str, Any]:
        completion = Completion(
            registry=self.registry, clock=self.clock, start_machine=self.handler.start_machine
        )
        return completion.of(event)

    # --- what passes do

    def lease(self) -> Lease:
        lease = self.registry.acquire("test", self.clock.now(), 1.0)
        assert lease is not None
        return lease

    def save(self, number: int, **changes: Any) -> None:
        self.registry.generations.save(replace(self.generation(number), **changes), self.lease())

    def converge(self, number: int) -> None:
        self.save(number, outcome=Outcome.CONVERGED)
        self._learn(converged=number)

    def undo(self, number: int, *, to: int) -> None:
        """Let a manifest from S3 fail, and the fleet undo it."""
        self.save(number, outcome=Outcome.FAILED, reason="too many failed")
        undo = replace(self.newest().request, delivery=f"undo-{number}", source=Source.UNDO)
        self.registry.generations.open(undo, self.registry.generations.desired(to))

    def end_a_pass(self, **learned: Any) -> None:
        self._learn(heartbeat=self.clock.now(), **learned)

    def _learn(self, **learned: Any) -> None:
        fleet = self.registry.fleet()
        assert fleet is not None
        self.registry.save_fleet(replace(fleet, **learned), self.lease())

    # --- what there is

    def newest(self) -> Generation:
        generation = self.registry.generations.newest()
        assert generation is not None
        return generation

    def generation(self, number: int) -> Generation:
        generation = self.registry.generations.find(number)
        assert generation is not None
        return generation

    def names(self, number: int | None = None) -> list[str]:
        return [
            adapter.name
            for adapter in self.registry.generations.desired(number or self.newest().number).adapters
        ]


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


@pytest.fixture
def watched(deployment: Deployment) -> Deployment:
    """A deployment of a manifest in S3, whose changes make generations."""
    deployment.bucket.put("live", manifest("a"))
    deployment.handler.on_event(deployment.event("Create", ManifestObject=OBJECT))
    return deployment
