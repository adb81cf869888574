"""What CloudFormation's events make of a copy."""

# ruff: noqa: N803 - the names are those of boto3

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from adapter_fleet.hub.copy import IAM_PROPAGATION_SECONDS, CopyError
from adapter_fleet.hub.files import ModelFile
from adapter_fleet.hub.requests import HubRequestHandler, request_of
from adapter_fleet.hub.store import ModelStore
from tests.adapter_fleet.fake_service import FakeClock
from tests.fakes.errors import client_error
from tests.fakes.s3 import FakeS3
from tests.hub import COMMIT

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:copy"
EXECUTION = "arn:aws:states:us-east-1:000000000000:execution:copy"
PROPERTIES = {
    "ModelId": "acme/tiny",
    "Revision": COMMIT,
    "Bucket": "b",
    "Prefix": "models/",
    "Who": "me",
    "PartBytes": "100",
    "TimeoutSeconds": "600",
}
DONE = {"done": True, "commit": COMMIT, "prefix": "models/x/", "files": 3, "bytes": 70}


class FakeMachines:
    """Executions of one state machine."""

    def __init__(self) -> None:
        self.executions: dict[str, dict[str, Any]] = {}

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> None:
        if name in self.executions:
            raise client_error("ExecutionAlreadyExists")
        self.executions[name] = {"status": "RUNNING", "input": json.loads(input)}

    def stop_execution(self, *, executionArn: str, **why: str) -> None:
        self._found(executionArn).update(status="ABORTED", **why)

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        return self._found(executionArn)

    def get_paginator(self, name: str) -> FakeMachines:
        assert name == "list_executions"
        return self

    def paginate(self, *, stateMachineArn: str, statusFilter: str) -> list[dict[str, Any]]:
        return [
            {
                "executions": [
                    {
                        "name": name,
                        "executionArn": f"arn:aws:states:us-east-1:000000000000:execution:copy:{name}",
                    }
                    for name, execution in self.executions.items()
                    if execution["status"] == statusFilter
                ]
            }
        ]

    def _found(self, arn: str) -> dict[str, Any]:
        prefix, _, name = arn.rpartition(":")
        assert prefix == EXECUTION
        if name not in self.executions:
            raise client_error("ExecutionDoesNotExist")
        return self.executions[name]

    @property
    def newest(self) -> dict[str, Any]:
        return list(self.executions.values())[-1]


class World:
    """The intake of one custom resource, and all that it touches."""

    def __init__(self) -> None:
        self.machines, self.s3, self.clock = FakeMachines(), FakeS3("b", page_size=3), FakeClock()
        self.left: list[str] = []
        self.handler = HubRequestHandler(
            machine=MACHINE,
            machines=cast(Any, self.machines),
            s3=cast(Any, self.s3),
            clock=self.clock,
            report_leftover=self.left.append,
        )
        self._events = 0

    def event(self, kind: str, old: dict[str, str] | None = None, **properties: str) -> dict[str, Any]:
        """Deliver an event; return it as `is_complete` gets it."""
        self._events += 1
        event: dict[str, Any] = {
            "RequestType": kind,
            "RequestId": f"request-{self._events}",
            "ResourceProperties": {**PROPERTIES, **properties},
        }
        if old is not None:
            event["OldResourceProperties"] = {**PROPERTIES, **old}
        return {**event, **self.handler.on_event(event)}

    def store(self, commit: str = COMMIT) -> ModelStore:
        return ModelStore(request_of(PROPERTIES).repository.at(commit), cast(Any, self.s3))

    def begin_upload(self, commit: str = COMMIT) -> None:
        key = self.store(commit).location.key("model.safetensors")
        self.s3.create_multipart_upload(Bucket="b", Key=key, ChecksumAlgorithm="CRC32")


@pytest.fixture
def world() -> World:
    return World()


def test_creation_starts_a_copy_and_waits_for_it(world: World) -> None:
    event = world.event("Create")
    assert event["PhysicalResourceId"] == "me"
    assert world.handler.is_complete(event) == {"IsComplete": False}
    asked = request_of(PROPERTIES, asked_at=world.clock.now())
    assert world.machines.newest["input"]["request"] == asdict(asked)


def test_copy_that_is_whole_ends_the_waiting_with_where_it_is(world: World) -> None:
    event = world.event("Create")
    world.machines.newest.update(status="SUCCEEDED", output=json.dumps(DONE))
    assert world.handler.is_complete(event) == {
        "IsComplete": True,
        "Data": {"Commit": COMMIT, "Prefix": "models/x/", "Files": "3", "Bytes": "70"},
    }


def test_copy_that_cannot_be_made_fails_with_its_reason(world: World) -> None:
    event = world.event("Create")
    cause = json.dumps({"errorType": "CopyError", "errorMessage": "the licence is not accepted"})
    world.machines.newest.update(status="FAILED", error="CopyError", cause=cause)
    with pytest.raises(CopyError, match=r"^the licence is not accepted$"):
        world.handler.is_complete(event)


def test_reason_of_any_length_fits_into_a_response(world: World) -> None:
    event = world.event("Create")
    cause = json.dumps({"errorType": "CopyError", "errorMessage": "\U0001f600" * 3000})
    world.machines.newest.update(status="FAILED", error="CopyError", cause=cause)
    with pytest.raises(CopyError) as failed:
        world.handler.is_complete(event)
    assert len(json.dumps(str(failed.value))) < 2100


def test_machine_that_fails_by_itself_says_how(world: World) -> None:
    event = world.event("Create")
    world.machines.newest.update(status="TIMED_OUT")
    with pytest.raises(CopyError, match="ended as TIMED_OUT"):
        world.handler.is_complete(event)


def test_event_that_is_delivered_twice_starts_one_copy(world: World) -> None:
    event = world.event("Create")
    world.handler.on_event(event)
    assert len(world.machines.executions) == 1


def test_machine_that_a_person_has_stopped_is_started_again(world: World) -> None:
    event = world.event("Create")
    world.machines.newest.update(status="ABORTED", error="Enough")
    assert world.handler.is_complete(event) == {"IsComplete": False}
    assert [execution["status"] for execution in world.machines.executions.values()] == ["ABORTED", "RUNNING"]
    world.machines.newest.update(status="SUCCEEDED", output=json.dumps(DONE))
    assert world.handler.is_complete(event)["IsComplete"]


def test_later_event_stops_the_copy_of_the_one_before_which_does_not_come_back(world: World) -> None:
    first = world.event("Update", old={})
    second = world.event("Update", old={}, Revision="b" * 40)
    with pytest.raises(CopyError, match="another deployment has taken over"):
        world.handler.is_complete(first)
    assert world.handler.is_complete(second) == {"IsComplete": False}
    assert [execution["status"] for execution in world.machines.executions.values()] == ["ABORTED", "RUNNING"]


def test_time_that_has_passed_stops_the_machine_and_says_how_far_it_is(world: World) -> None:
    event = world.event("Create")
    files = [ModelFile(path=path, size=2_000_000_000, digest="sha256:00") for path in ("a", "b")]
    world.store().keep_plan(files)
    world.clock.sleep(599)
    assert world.handler.is_complete(event) == {"IsComplete": False}
    world.clock.sleep(1)
    with pytest.raises(CopyError, match=r"not copied after 10 minutes, the timeout: nothing is copied"):
        world.handler.is_complete(event)
    assert world.machines.newest["status"] == "ABORTED"


def test_time_that_has_passed_is_told_where_s3_does_not_say_how_far_it_is(world: World) -> None:
    event = world.event("Create")
    world.s3.forbidden = ("b/models/",)
    world.clock.sleep(600)
    with pytest.raises(CopyError, match=r"the timeout: its progress is not known: .*AccessDenied"):
        world.handler.is_complete(event)
    assert world.machines.newest["status"] == "ABORTED"


def test_denial_is_told_once_a_role_that_was_changed_should_be_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(**_: str) -> None:
        raise client_error("AccessDenied")

    event = world.event("Create")
    monkeypatch.setattr(world.machines, "describe_execution", denied)
    world.clock.sleep(IAM_PROPAGATION_SECONDS - 1)
    with pytest.raises(ClientError, match="AccessDenied"):
        world.handler.is_complete(event)
    world.clock.sleep(1)
    with pytest.raises(CopyError, match="AccessDenied"):
        world.handler.is_complete(event)


@pytest.mark.parametrize("revision", [COMMIT, "main"])
def test_deletion_that_may_clear_nothing_waits_a_while_and_ends_with_what_is_left(
    world: World, revision: str
) -> None:
    world.s3.forbidden = ("b/models/",)
    event = world.event("Delete", Revision=revision)
    world.clock.sleep(IAM_PROPAGATION_SECONDS - 1)
    with pytest.raises(ClientError, match="AccessDenied"):
        world.handler.is_complete(event)
    world.clock.sleep(1)
    assert world.handler.is_complete(event) == {"IsComplete": True}
    (reason,) = world.left
    assert re.search(r"unfinished uploads and records below s3://b/models/acme--tiny/ .*AccessDenied", reason)


def test_deletion_ends_when_nothing_is_left_half_uploaded(world: World) -> None:
    world.event("Create")
    world.begin_upload()
    world.s3.put("b", "models/acme--tiny/revisions/me/main.json", b"{}")
    event = world.event("Delete")
    assert world.machines.newest["status"] == "ABORTED"
    assert world.handler.is_complete(event) == {"IsComplete": False}
    assert world.handler.is_complete(event) == {"IsComplete": True}
    assert (world.s3.uploads, world.s3.objects) == ({}, {})


def test_rollback_aborts_what_the_failed_version_has_half_uploaded(world: World) -> None:
    world.begin_upload("b" * 40)
    world.begin_upload()
    event = world.event("Update", old={"Revision": "b" * 40})
    world.machines.newest.update(status="SUCCEEDED", output=json.dumps(DONE))
    assert world.handler.is_complete(event)["IsComplete"]
    assert [COMMIT in upload.key for upload in world.s3.uploads.values()] == [True]


@pytest.mark.parametrize("revision", [COMMIT, "main"])
def test_place_that_the_roles_are_no_longer_for_is_left_and_fails_nothing(
    world: World, revision: str
) -> None:
    event = world.event("Update", old={"Prefix": "elsewhere/", "Revision": revision})
    world.s3.forbidden = ("b/elsewhere/",)
    world.machines.newest.update(status="SUCCEEDED", output=json.dumps(DONE))
    assert world.handler.is_complete(event)["IsComplete"]
    (reason,) = world.left
    assert "AccessDenied" in reason


@pytest.mark.parametrize("kind", ["Delete", "Update"])
def test_uploads_that_another_stack_goes_on_with_are_left(world: World, kind: str) -> None:
    world.begin_upload()
    for who in ("me", "another"):
        world.store().keep_copying(who)
    event = world.event(kind, old={}, Revision=COMMIT if kind == "Delete" else "b" * 40)
    if kind == "Update":
        world.machines.newest.update(status="SUCCEEDED", output=json.dumps(DONE))
    assert world.handler.is_complete(event)["IsComplete"]
    assert len(world.s3.uploads) == 1
    assert list(world.s3.bodies("b")) == [f"models/acme--tiny/{COMMIT}.copying/another.json"]


def test_last_stack_that_gives_up_aborts_what_all_have_uploaded(world: World) -> None:
    world.begin_upload()
    for who in ("me", "another"):
        world.store().keep_copying(who)
    assert [world.store().give_up(who) for who in ("another", "me")] == [0, 1]
    assert (world.s3.uploads, world.s3.objects) == ({}, {})


def test_note_that_may_not_be_deleted_is_an_error_and_its_uploads_stay(world: World) -> None:
    world.begin_upload()
    world.store().keep_copying("me")
    world.s3.forbidden = (f"b/{world.store().location.copying}",)
    with pytest.raises(
        ClientError, match=rf"AccessDenied.*s3://b/.*{COMMIT}\.copying/me\.json: Access Denied"
    ):
        world.store().give_up("me")
    assert len(world.s3.uploads) == 1
