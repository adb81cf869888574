"""CloudFormation and a bucket of manifests, as the request handler meets them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from adapter_fleet.common.serialization import unstructured
from adapter_fleet.fleet.requests.handler import RequestHandler, StackState
from adapter_fleet.fleet.requests.is_complete import Completion
from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.fleet.state.generations import Generation, Outcome
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
        """Send an event to the function."""
        answer = self.handler.on_event(event)
        self.handler.catch_up(answer["Generation"])
        return answer

    def names(self) -> list[str]:
        """Return the adapters that are wanted now."""
        return [adapter.name for adapter in self.registry.desired(self.newest().number).adapters]

    def complete(self, event: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        completion = Completion(
            registry=self.registry, clock=self.clock, start_machine=self.handler.start_machine
        )
        return completion.of({**event, **answer})

    def save(self, number: int, **changes: Any) -> None:
        generation = self.registry.generation(number)
        assert generation is not None
        lease = self.registry.acquire("test", self.clock.now(), 1.0)
        assert lease is not None
        self.registry.save_generation(replace(generation, **changes), lease)
        self.registry.release(lease)

    def converge(self, number: int) -> None:
        """Let a generation converge."""
        self.save(number, outcome=Outcome.CONVERGED)
        fleet = self.registry.fleet()
        lease = self.registry.acquire("test", self.clock.now(), 1.0)
        assert fleet is not None
        assert lease is not None
        self.registry.save_fleet(replace(fleet, converged=number), lease)
        self.registry.release(lease)

    def end_a_pass(self, **learned: Any) -> None:
        """Save the end of a pass, with other fields of the fleet."""
        fleet = self.registry.fleet()
        lease = self.registry.acquire("test", self.clock.now(), 1.0)
        assert fleet is not None
        assert lease is not None
        self.registry.save_fleet(replace(fleet, heartbeat=self.clock.now(), **learned), lease)
        self.registry.release(lease)

    def newest(self) -> Generation:
        fleet = self.registry.fleet()
        assert fleet is not None
        generation = self.registry.generation(fleet.generation)
        assert generation is not None
        return generation

    def rolled_back(self, outcome: Outcome, text: bytes) -> Generation:
        """Deploy another setting that ends with an outcome, and roll it back while `text` is in S3."""
        before = self.event("Update", ManifestObject=OBJECT)["ResourceProperties"]
        self.converge(1)
        self.settings = replace(self.settings, timeout_seconds=700)
        self.bucket.put("live", text)
        event = self.event("Update", ManifestObject=OBJECT, old=before)
        self.handler.on_event(event)
        if outcome is Outcome.CONVERGED:
            self.converge(2)
        else:
            self.save(2, outcome=outcome)
        back = self.event("Update", old=event["ResourceProperties"])
        self.send({**back, "ResourceProperties": before})
        assert self.newest().undo
        return self.newest()

    def update(self, *, seconds: int, old: dict[str, Any] | None = None) -> Any:
        """Deploy a setting; return the properties."""
        self.settings = replace(self.settings, timeout_seconds=seconds)
        event = self.event("Update", ManifestObject=OBJECT, old=old or {})
        self.handler.on_event(event)
        return event["ResourceProperties"]
