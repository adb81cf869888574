"""An account for commands, around a fleet in memory whose passes run while a command waits."""

# ruff: noqa: N803 - the names are those of boto3

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from typer.testing import Result

from adapter_fleet.fleet.state.generations import Request, Source
from adapter_fleet.fleet.state.records import FleetRecord
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.manifest.desired import DesiredFleet
from adapters_cli.aws.account import Account
from tests.adapter_fleet.fleet_world import World
from tests.adapter_fleet.memory_registry import MemoryRegistry
from tests.fakes import FakeQuotas, FakeS3, client_error

Run = Callable[..., Result]
"""Runs a command on the fleet of the world."""
Write = Callable[..., Path]
"""Writes a manifest."""


def rows(result: Result) -> list[list[str]]:
    """Return what a command writes in a pipe."""
    return [line.split("\t") for line in result.stdout.splitlines()]


class FakeMachines:
    """State machines that hand executions to the world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.inputs: list[dict[str, Any]] = []

    def start_execution(self, *, stateMachineArn: str, input: str) -> None:
        assert stateMachineArn == "machine"
        self.inputs.append(json.loads(input))
        self._world.start_machine(self.inputs[-1]["trigger"])


class FakeScaling:
    """Application Auto Scaling, which scales every component or none; None lets nobody ask."""

    scales: bool | None = True

    def describe_scalable_targets(self, *, ServiceNamespace: str, ResourceIds: list[str]) -> dict[str, Any]:
        assert (ServiceNamespace, ResourceIds) == ("sagemaker", ["inference-component/base"])
        if self.scales is None:
            raise client_error("AccessDeniedException", "no")
        return {"ScalableTargets": [{}] if self.scales else []}


class FakeStacks:
    """Resources of stacks, as type and physical id."""

    def __init__(self) -> None:
        self.stacks: dict[str, list[tuple[str, str]]] = {}

    def get_paginator(self, operation: str) -> FakeStacks:
        assert operation in ("list_stack_resources", "list_stacks")
        return self

    def paginate(self, *, StackName: str | None = None) -> Iterator[dict[str, Any]]:
        if StackName is None:
            names = [{"StackName": name, "StackStatus": "CREATE_COMPLETE"} for name in self.stacks]
            yield {"StackSummaries": names}
            return
        if StackName not in self.stacks:
            raise client_error("ValidationError", f"Stack with id {StackName} does not exist")
        for type_, made in self.stacks[StackName]:
            yield {"StackResourceSummaries": [{"ResourceType": type_, "PhysicalResourceId": made}]}


class FakeAccount(Account):
    """One fleet in table `registry` of stack `Tenants`. Waiting lets its state machine go on.

    others:
        More registries, by the names of their tables.
    refusals:
        What tables that are no registries answer with.
    clients:
        Fakes of clients of boto3, by service.
    configs:
        How clients were asked for, by their services.
    """

    region = "eu-central-1"

    def __init__(self, world: World) -> None:
        self.world = world
        self.buckets, self.started, self.stacks = FakeS3(), FakeMachines(world), FakeStacks()
        self.buckets.versioned = True
        self.stacks.stacks["Tenants"] = [("AWS::S3::Bucket", "bucket"), ("AWS::DynamoDB::Table", "registry")]
        self.quotas = FakeQuotas()
        self.scaling = FakeScaling()
        self.clients: dict[str, Any] = {
            "service-quotas": self.quotas,
            "application-autoscaling": self.scaling,
        }
        self.configs: dict[str, Any] = {}
        self.others: dict[str, Registry] = {}
        self.refusals: dict[str, str] = {}
        fakes: dict[str, Any] = {"s3": self.buckets, "machines": self.started, "service": world.service}
        vars(self).update(fakes, cloudformation=self.stacks)

    def client(self, service: str, config: Any = None) -> Any:
        self.configs[service] = config
        return self.clients.get(service) or super().client(service, config)

    def registry(self, table: str) -> Registry:
        if table == "registry":
            return self.world.registry
        return self.others.get(table) or _OtherTable(self.refusals.get(table, "ValidationException"))

    def add_fleet(self, stack: str, table: str, name: str) -> None:
        registry = MemoryRegistry()
        registry.register(FleetRecord(uid=table, name=name, machine="machine"))
        self.others[table] = registry
        self.stacks.stacks.setdefault(stack, []).append(("AWS::DynamoDB::GlobalTable", table))

    def now(self) -> float:
        return self.world.clock.now()

    def sleep(self, seconds: float) -> None:
        end = self.world.clock.now() + seconds
        while self.world.clock.now() < end:
            due = [execution.next_at for execution in self.world.executions if not execution.done]
            if not due or min(due) > end:
                break
            self.world.step()
        self.world.clock.time = max(self.world.clock.time, end)


def take_up(world: World, desired: DesiredFleet, version: str, *, refusal: str | None = None) -> None:
    """Open a generation for a version of the manifest in S3, as the fleet's function does."""
    request = Request(
        delivery=f"object-{version}-{world.newest().number}",
        source=Source.OBJECT,
        target=world.target,
        at=world.clock.now(),
        source_digest=desired.digest,
        manifest_version=version,
        refusal=refusal,
    )
    world.open(request, desired)


class _OtherTable(MemoryRegistry):
    """A table with keys of its own, or one that nobody may read."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self._code = code

    def fleet(self) -> FleetRecord | None:
        raise client_error(self._code, "refused")
