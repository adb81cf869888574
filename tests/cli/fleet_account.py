"""An account for commands, around a fleet in memory whose passes run while a command waits."""

# ruff: noqa: N803 - the names are those of boto3

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from adapter_fleet.fleet.state.records import FleetRecord
from adapter_fleet.fleet.state.registry import Registry
from adapters_cli.aws.account import Account
from tests.adapter_fleet.fleet_world import World
from tests.adapter_fleet.memory_registry import MemoryRegistry


def client_error(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


class FakeBuckets:
    """Objects, with versions or without. `news` is called after each new one."""

    def __init__(self) -> None:
        self.versioned = True
        self.objects: dict[tuple[str, str], bytes] = {}
        self.versions: dict[tuple[str, str], int] = {}
        self.before_put: Any = lambda: None
        self.news: Any = lambda text, version: None

    def etag(self, bucket: str, key: str) -> str:
        return f'"{hashlib.md5(self.objects[bucket, key]).hexdigest()}"'

    def version(self, bucket: str, key: str) -> dict[str, str]:
        named = {"VersionId": f"v{self.versions[bucket, key]}"} if self.versioned else {}
        return {"ETag": self.etag(bucket, key), **named}

    def store(self, bucket: str, key: str, text: bytes) -> None:
        self.objects[bucket, key] = text
        self.versions[bucket, key] = self.versions.get((bucket, key), 0) + 1

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if (Bucket, Key) not in self.objects:
            raise client_error("NoSuchKey", "The specified key does not exist.")
        return {**self.version(Bucket, Key), "Body": io.BytesIO(self.objects[Bucket, Key])}

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: bytes,
        ContentType: str,
        **condition: str,
    ) -> dict[str, Any]:
        self.before_put()
        there = (Bucket, Key) in self.objects
        if "IfNoneMatch" in condition:
            failed = there
        else:
            failed = not there or condition["IfMatch"] != self.etag(Bucket, Key)
        if failed:
            raise client_error("PreconditionFailed", "At least one of the pre-conditions did not hold")
        self.store(Bucket, Key, Body)
        answer = self.version(Bucket, Key)
        self.news(Body, answer.get("VersionId", answer["ETag"].strip('"')))
        return answer

    def download_file(self, bucket: str, key: str, path: str) -> None:
        if (bucket, key) not in self.objects:
            raise client_error("404", "Not Found")
        Path(path).write_bytes(self.objects[bucket, key])


class FakeMachines:
    """State machines that hand executions to the world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.inputs: list[dict[str, Any]] = []

    def start_execution(self, *, stateMachineArn: str, input: str) -> None:
        assert stateMachineArn == "machine"
        self.inputs.append(json.loads(input))
        self._world.start_machine(self.inputs[-1]["trigger"])


class FakeStacks:
    """Resources of stacks, as type and physical id."""

    def __init__(self) -> None:
        self.stacks: dict[str, list[tuple[str, str]]] = {}

    def get_paginator(self, operation: str) -> FakeStacks:
        assert operation == "list_stack_resources"
        return self

    def paginate(self, *, StackName: str) -> Iterator[dict[str, Any]]:
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
    """

    region = "eu-central-1"

    def __init__(self, world: World) -> None:
        self.world = world
        self.buckets, self.started, self.stacks = FakeBuckets(), FakeMachines(world), FakeStacks()
        self.stacks.stacks["Tenants"] = [
            ("AWS::S3::Bucket", "bucket"),
            ("AWS::DynamoDB::Table", "registry"),
        ]
        self.others: dict[str, Registry] = {}
        self.refusals: dict[str, str] = {}
        fakes: dict[str, Any] = {
            "s3": self.buckets,
            "machines": self.started,
            "cloudformation": self.stacks,
            "service": world.service,
        }
        vars(self).update(fakes)

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


class _OtherTable(MemoryRegistry):
    """A table with keys of its own, or one that nobody may read."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self._code = code

    def fleet(self) -> FleetRecord | None:
        raise client_error(self._code, "refused")
