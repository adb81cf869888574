"""What CloudFormation's events and manifests in S3 ask for, and what they are told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.common.serialization import unstructured
from adapter_fleet.fleet.reconcile.completion import LONGEST_PASS_SECONDS, STANDSTILL_PASSES, data_of
from adapter_fleet.fleet.reconcile.fleet_error import FleetError
from adapter_fleet.fleet.reconcile.requests import RequestHandler, StackState
from adapter_fleet.fleet.state.generations import Generation, Outcome, Source
from adapter_fleet.fleet.state.registry import Lease
from adapter_fleet.fleet.state.settings import FleetSettings, OnTimeout
from tests.adapter_fleet.fake_service import FakeClock
from tests.adapter_fleet.memory_registry import MemoryRegistry

UID = "fleet-1"


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

    def look(self, bucket: str, key: str) -> tuple[str, float] | None:
        self.looks += 1
        found = self.objects.get(key)
        return None if found is None else (found[1], float(found[1][1:]))


class Deployment:
    """CloudFormation, and the functions that it calls."""

    def __init__(self) -> None:
        self.clock, self.registry, self.bucket = FakeClock(), MemoryRegistry(), Bucket()
        self.started: list[tuple[str, str]] = []
        self.settings = FleetSettings(timeout_seconds=600)
        self.requests = 0
        self.rolling_back: bool | None = None
        self.stack_tags: dict[str, str] = {}
        self.intake = RequestHandler(
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
        """What CloudFormation says of the stack; None where it does not answer."""
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
        """Send an event, as the function takes it."""
        answer = self.intake.on_event(event)
        self.intake.catch_up(answer["Generation"])
        return answer

    def names(self) -> list[str]:
        """Return the adapters that are wanted now."""
        return [adapter.name for adapter in self.registry.desired(self.newest().number).adapters]

    def complete(self, event: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        return self.intake.is_complete({**event, **answer})

    def save(self, number: int, **changes: Any) -> None:
        generation = self.registry.generation(number)
        assert generation is not None
        lease = self.registry.acquire("test", self.clock.now(), 1.0)
        assert lease is not None
        self.registry.save_generation(replace(generation, **changes), lease)
        self.registry.release(lease)

    def converge(self, number: int) -> None:
        """Note that a generation is in force."""
        self.save(number, outcome=Outcome.CONVERGED)
        fleet = self.registry.fleet()
        lease = self.registry.acquire("test", self.clock.now(), 1.0)
        assert fleet is not None
        assert lease is not None
        self.registry.save_fleet(replace(fleet, converged=number), lease)
        self.registry.release(lease)

    def end_a_pass(self, **learned: Any) -> None:
        """Note that a pass ends now, and what it has learned."""
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


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


def test_creation_records_what_is_wanted_and_starts_the_machine(deployment: Deployment) -> None:
    answer = deployment.intake.on_event(deployment.event("Create", Manifest=deployment.asset("one", "a")))
    assert answer == {"PhysicalResourceId": UID, "Generation": 1}
    (wanted,) = deployment.registry.desired(1).adapters
    assert (wanted.name, wanted.component) == ("a", "p-a")
    assert len(deployment.started) == 1
    assert deployment.newest().request.target.tags == {"team": "x"}


def test_event_that_is_delivered_twice_keeps_its_generation(deployment: Deployment) -> None:
    event = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    assert deployment.intake.on_event(event) == deployment.intake.on_event(event)
    assert deployment.newest().number == 1
    assert len(set(deployment.started)) == 1


def test_request_id_that_is_used_again_with_another_response_url_is_another_event(
    deployment: Deployment,
) -> None:
    event = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.intake.on_event(event)
    answer = deployment.intake.on_event({**event, "ResponseURL": "https://response/another"})
    assert answer["Generation"] == 2


def test_deployment_waits_while_its_generation_is_open(deployment: Deployment) -> None:
    event = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    answer = deployment.intake.on_event(event)
    assert deployment.complete(event, answer) == {"IsComplete": False}


def test_deployment_ends_with_the_counts(deployment: Deployment) -> None:
    event = deployment.event("Create", Manifest=deployment.asset("one", "a", "b"))
    answer = deployment.intake.on_event(event)
    deployment.save(1, outcome=Outcome.CONVERGED, desired=2, in_service=1, failed=1, reason="b: bad tensors")
    assert deployment.complete(event, answer) == {
        "IsComplete": True,
        "Data": {
            "Desired": "2",
            "InService": "1",
            "Failed": "1",
            "Pending": "0",
            "Orphans": "0",
            "Summary": "1 of 2 adapters in service, 1 failed: b: bad tensors",
        },
    }


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.REFUSED])
def test_deployment_fails_with_the_reason(deployment: Deployment, outcome: Outcome) -> None:
    event = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    answer = deployment.intake.on_event(event)
    deployment.save(1, outcome=outcome, reason="too many failed")
    with pytest.raises(FleetError, match="too many failed"):
        deployment.complete(event, answer)


def test_deployment_that_another_one_superseded_fails(deployment: Deployment) -> None:
    event = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    answer = deployment.intake.on_event(event)
    deployment.intake.on_event(deployment.event("Update", Manifest=deployment.asset("two", "b")))
    with pytest.raises(FleetError, match="generation 1 is superseded"):
        deployment.complete(event, answer)


def test_rollback_of_cloudformation_is_known_as_an_undo(deployment: Deployment) -> None:
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.intake.on_event(first)
    second = deployment.event(
        "Update", Manifest=deployment.asset("two", "b"), old=first["ResourceProperties"]
    )
    deployment.intake.on_event(second)
    assert not deployment.newest().undo
    deployment.intake.on_event(
        {
            **deployment.event("Update", old=second["ResourceProperties"]),
            "ResourceProperties": first["ResourceProperties"],
        }
    )
    assert deployment.newest().undo
    assert [adapter.name for adapter in deployment.registry.desired(3).adapters] == ["a"]


def test_old_manifest_that_a_person_deploys_again_is_no_undo(deployment: Deployment) -> None:
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.intake.on_event(first)
    second = deployment.event(
        "Update", Manifest=deployment.asset("two", "a", "b"), old=first["ResourceProperties"]
    )
    deployment.intake.on_event(second)
    deployment.rolling_back = False
    again = deployment.event("Update", old=second["ResourceProperties"])
    deployment.intake.on_event({**again, "ResourceProperties": first["ResourceProperties"]})
    assert not deployment.newest().exempt


def test_rollback_of_what_a_person_has_deployed_again_is_an_undo(deployment: Deployment) -> None:
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    second = deployment.event("Update", Manifest=deployment.asset("two", "b"))
    one, two = first["ResourceProperties"], second["ResourceProperties"]
    deployment.intake.on_event(first)
    deployment.rolling_back = False
    for old, new in ((one, two), (two, one)):
        deployment.intake.on_event({**deployment.event("Update", old=old), "ResourceProperties": new})
    deployment.rolling_back = True
    deployment.intake.on_event({**deployment.event("Update", old=one), "ResourceProperties": two})
    assert deployment.newest().undo


def test_components_get_the_tags_of_the_stack_and_those_of_the_fleet_win(deployment: Deployment) -> None:
    deployment.rolling_back = False
    deployment.stack_tags = {"cost-center": "42", "team": "of the stack"}
    deployment.send(deployment.event("Create", Manifest=deployment.asset("one", "a")))
    assert deployment.newest().request.target.tags == {"cost-center": "42", "team": "x"}


@pytest.mark.parametrize("key", ["aws:cloudformation:stack-name", "fleet-uid", "Fleet-UID"])
def test_tags_that_are_not_the_stacks_to_give_are_left_out(deployment: Deployment, key: str) -> None:
    deployment.rolling_back = False
    deployment.stack_tags = {key: "of another fleet"}
    deployment.send(deployment.event("Create", Manifest=deployment.asset("one", "a")))
    assert deployment.newest().request.target.tags == {"team": "x"}


def test_tags_of_the_stack_that_the_app_removed_from_the_fleet_are_left_out(deployment: Deployment) -> None:
    deployment.rolling_back = False
    deployment.stack_tags = {"cost-center": "42", "owner": "me"}
    deployment.send(
        deployment.event("Create", Manifest=deployment.asset("one", "a"), StackTagsLeftOut=["owner"])
    )
    assert deployment.newest().request.target.tags == {"cost-center": "42", "team": "x"}


def test_tags_of_the_stack_stay_where_cloudformation_does_not_answer(deployment: Deployment) -> None:
    deployment.rolling_back = False
    deployment.stack_tags = {"cost-center": "42"}
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.send(first)
    deployment.rolling_back = None
    deployment.send(
        deployment.event(
            "Update", Manifest=deployment.asset("two", "b"), old=first["ResourceProperties"], Tags={}
        )
    )
    assert deployment.newest().request.target.tags == {"cost-center": "42", "team": "x"}


@pytest.mark.parametrize("text", [None, b"adapters: ["], ids=["gone", "unreadable"])
def test_rollback_does_without_the_old_manifest_in_s3(deployment: Deployment, text: bytes | None) -> None:
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.intake.on_event(first)
    deployment.converge(1)
    second = deployment.event(
        "Update", Manifest=deployment.asset("two", "b"), old=first["ResourceProperties"]
    )
    deployment.intake.on_event(second)
    deployment.save(2, outcome=Outcome.FAILED)
    if text is None:
        del deployment.bucket.objects["one"]
    else:
        deployment.bucket.put("one", text)
    back = deployment.event("Update", old=second["ResourceProperties"])
    deployment.intake.on_event({**back, "ResourceProperties": first["ResourceProperties"]})
    newest = deployment.newest()
    assert newest.undo
    assert newest.outcome is Outcome.OPEN
    assert deployment.registry.desired(3) == deployment.registry.desired(1)


def test_deployment_whose_manifest_is_not_in_s3_fails(deployment: Deployment) -> None:
    event = deployment.event("Create", Manifest={"Bucket": "assets", "Key": "one", "Digest": "x"})
    with pytest.raises(FleetError, match="the manifest s3://assets/one is not there"):
        deployment.intake.on_event(event)


def test_creation_after_a_deletion_that_has_ended_is_taken(deployment: Deployment) -> None:
    deployment.intake.on_event(deployment.event("Create", Manifest=deployment.asset("one", "a")))
    deployment.save(1, outcome=Outcome.FAILED)
    deployment.intake.on_event(deployment.event("Delete"))
    create = deployment.event("Create", Manifest=deployment.asset("two", "a"))
    with pytest.raises(ValueError, match="is being deleted"):
        deployment.intake.on_event(create)
    deployment.converge(2)
    assert deployment.intake.on_event(create)["Generation"] == 3
    assert deployment.newest().outcome is Outcome.OPEN


def test_manifest_that_is_wrong_is_refused_and_changes_nothing(deployment: Deployment) -> None:
    deployment.bucket.put("one", b"adapters: [{name: a}]")
    event = deployment.event("Create", Manifest={"Bucket": "assets", "Key": "one", "Digest": "x"})
    deployment.intake.on_event(event)
    refusal = deployment.newest().request.refusal
    assert refusal is not None
    assert "adapter 'a'" in refusal


def test_more_tags_with_those_of_the_fleet_than_a_component_may_have_are_refused(
    deployment: Deployment,
) -> None:
    tags = {f"tag{number}": "x" for number in range(50)}
    deployment.intake.on_event(deployment.event("Create", Manifest=deployment.asset("one", "a"), Tags=tags))
    assert "adapter 'a': tags: should be at most 50" in str(deployment.newest().request.refusal)


def test_rank_above_the_limit_of_the_endpoint_is_refused(deployment: Deployment) -> None:
    deployment.settings = replace(deployment.settings, max_lora_rank=8)
    text = json.loads(manifest("a"))
    text["adapters"][0]["rank"] = 16
    deployment.bucket.put("one", json.dumps(text).encode())
    event = deployment.event("Create", Manifest={"Bucket": "assets", "Key": "one", "Digest": "x"})
    deployment.intake.on_event(event)
    assert "lora-rank" in str(deployment.newest().request.refusal)


def test_deployment_whose_time_is_up_succeeds_with_what_is_pending(deployment: Deployment) -> None:
    event = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    answer = deployment.intake.on_event(event)
    deployment.save(1, desired=1, pending=1, changes=1)
    deployment.clock.time += 601
    deployment.end_a_pass()
    completed = deployment.complete(event, answer)
    assert completed["IsComplete"]
    assert completed["Data"]["Pending"] == "1"


def test_deployment_of_a_fleet_whose_passes_keep_failing_fails_with_the_reason(
    deployment: Deployment,
) -> None:
    event = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    answer = deployment.intake.on_event(event)
    deployment.save(1, desired=1, pending=1, changes=1)
    deployment.clock.time += 601
    deployment.end_a_pass(failed_passes=STANDSTILL_PASSES, trouble="a pass failed: KeyError: 'x'")
    with pytest.raises(FleetError, match=r"1 adapters are pending: 3 passes in a row .*KeyError: 'x'"):
        deployment.complete(event, answer)


def test_deployment_of_which_no_pass_was_heard_fails_when_its_time_is_up(deployment: Deployment) -> None:
    event = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    answer = deployment.intake.on_event(event)
    deployment.save(1, desired=1, pending=1, changes=1)
    deployment.clock.time += 601
    with pytest.raises(FleetError, match="no pass has ended for 10 minutes"):
        deployment.complete(event, answer)


@pytest.mark.parametrize("ends", [True, False])
def test_deployment_whose_passes_are_killed_fails_though_they_give_signs_of_life(
    deployment: Deployment, ends: bool
) -> None:
    event = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    answer = deployment.intake.on_event(event)
    deployment.save(1, desired=1, pending=1, changes=1)
    deployment.clock.time += LONGEST_PASS_SECONDS + 60
    deployment.end_a_pass(pass_ended=deployment.clock.now() if ends else 0.0)
    if ends:
        assert deployment.complete(event, answer)["Data"]["Pending"] == "1"
        return
    with pytest.raises(FleetError, match="no pass has ended for 21 minutes"):
        deployment.complete(event, answer)


def test_rollback_whose_passes_keep_failing_is_degraded_and_no_failure(deployment: Deployment) -> None:
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.intake.on_event(first)
    deployment.converge(1)
    old, new = first["ResourceProperties"], deployment.properties(Manifest=deployment.asset("two", "b"))
    deployment.intake.on_event({**deployment.event("Update", old=old), "ResourceProperties": new})
    deployment.rolling_back = True
    undo = {**deployment.event("Update", old=new), "ResourceProperties": old}
    answer = deployment.intake.on_event(undo)
    deployment.save(answer["Generation"], desired=1, pending=1, changes=1)
    deployment.clock.time += 601
    deployment.end_a_pass(failed_passes=9, trouble="a pass failed: KeyError: 'x'")
    assert deployment.complete(undo, answer)["Data"]["Summary"].startswith("degraded: ")


def test_deployment_whose_time_is_up_fails_where_the_setting_says_so(deployment: Deployment) -> None:
    deployment.settings = replace(deployment.settings, on_timeout=OnTimeout.FAIL)
    event = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    answer = deployment.intake.on_event(event)
    deployment.save(1, desired=1, pending=1, changes=1)
    deployment.clock.time += 601
    deployment.end_a_pass()
    with pytest.raises(FleetError, match="1 adapters are pending"):
        deployment.complete(event, answer)


def test_deployment_of_which_nothing_is_known_when_its_time_is_up_fails(deployment: Deployment) -> None:
    event = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    answer = deployment.intake.on_event(event)
    deployment.save(1, reason="the endpoint cannot be listed: AccessDenied")
    deployment.clock.time += 601
    deployment.end_a_pass()
    with pytest.raises(FleetError, match="nothing is known of the fleet: the endpoint cannot be listed"):
        deployment.complete(event, answer)


def test_deletion_whose_time_is_up_says_what_is_left_and_goes_on_when_asked_again(
    deployment: Deployment,
) -> None:
    deployment.intake.on_event(deployment.event("Create", Manifest=deployment.asset("one", "a")))
    event = deployment.event("Delete")
    answer = deployment.intake.on_event(event)
    deployment.save(2, pending=7)
    deployment.clock.time += 601
    with pytest.raises(FleetError, match="7 adapters are left"):
        deployment.complete(event, answer)
    again = deployment.intake.on_event(deployment.event("Delete"))
    assert again["Generation"] == 3
    assert deployment.newest().request.source is Source.DELETION


def test_machine_that_stands_still_is_started_again(deployment: Deployment) -> None:
    event = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    answer = deployment.intake.on_event(event)
    deployment.clock.time += 100
    deployment.complete(event, answer)
    assert len(deployment.started) == 1
    deployment.clock.time += 100
    deployment.complete(event, answer)
    assert len(deployment.started) == 2


def test_another_identifier_is_refused(deployment: Deployment) -> None:
    with pytest.raises(FleetError, match="'FleetUid' should be 'fleet-1', that of the function, got 'anoth"):
        deployment.intake.on_event(deployment.event("Create", FleetUid="another"))


def test_update_that_would_make_another_fleet_of_a_moved_one_is_refused_and_leaves_it_as_it_is(
    deployment: Deployment,
) -> None:
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.intake.on_event(first)
    # The functions of a moved fleet are updated before it.
    moved = replace(deployment.intake, uid="fleet-2")
    update = deployment.event("Update", old=first["ResourceProperties"], FleetUid="fleet-2")
    with pytest.raises(
        FleetError,
        match="'FleetUid' should be 'fleet-1' as long as the fleet is there, got 'fleet-2': its construct"
        " was moved or renamed; give it fleet_uid='fleet-1', or bring",
    ):
        moved.on_event(update)
    assert deployment.newest().number == 1


def test_rollback_of_a_refused_move_is_taken_in(deployment: Deployment) -> None:
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.intake.on_event(first)
    back = deployment.event("Update", old=deployment.properties(FleetUid="fleet-2"))
    deployment.intake.on_event({**back, "ResourceProperties": first["ResourceProperties"]})
    assert deployment.newest().number == 2
    assert [adapter.name for adapter in deployment.registry.desired(2).adapters] == ["a"]


class TestManifestInS3:
    OBJECT = {"Bucket": "manifests", "Key": "live"}  # noqa: RUF012 - never changed

    @pytest.fixture
    def watched(self, deployment: Deployment) -> Deployment:
        deployment.bucket.put("live", manifest("a"))
        deployment.intake.on_event(deployment.event("Create", ManifestObject=self.OBJECT))
        return deployment

    def test_new_version_makes_a_generation(self, watched: Deployment) -> None:
        watched.bucket.put("live", manifest("a", "b"))
        generation = watched.intake.manifest_changed("1")
        assert generation is not None
        assert generation.request.source is Source.OBJECT
        assert [adapter.name for adapter in watched.registry.desired(2).adapters] == ["a", "b"]

    def test_version_that_is_in_force_makes_none(self, watched: Deployment) -> None:
        assert watched.intake.manifest_changed("1") is None

    def test_event_that_comes_twice_makes_one_generation(self, watched: Deployment) -> None:
        watched.bucket.put("live", manifest("a", "b"))
        watched.intake.manifest_changed("1")
        assert watched.intake.manifest_changed("1") is None
        assert watched.newest().number == 2

    def test_late_event_takes_the_newest_version(self, watched: Deployment) -> None:
        watched.bucket.put("live", manifest("b"))
        watched.bucket.put("live", manifest("c"))
        watched.intake.manifest_changed("1")
        watched.intake.manifest_changed("2")
        assert [adapter.name for adapter in watched.registry.desired(2).adapters] == ["c"]
        assert watched.newest().number == 2

    def test_manifest_that_is_not_there_yet_wants_nothing(self, deployment: Deployment) -> None:
        deployment.intake.on_event(deployment.event("Create", ManifestObject=self.OBJECT))
        assert deployment.registry.desired(1).adapters == ()

    def test_manifest_that_is_gone_leaves_what_was_in_force(self, watched: Deployment) -> None:
        fleet = watched.registry.fleet()
        assert fleet is not None
        lease = watched.registry.acquire("test", watched.clock.now(), 1.0)
        assert isinstance(lease, Lease)
        watched.registry.save_fleet(replace(fleet, converged=1), lease)
        watched.bucket.objects.clear()
        watched.intake.on_event(watched.event("Update", ManifestObject=self.OBJECT, old={}))
        assert [adapter.name for adapter in watched.registry.desired(2).adapters] == ["a"]

    def rolled_back(self, watched: Deployment, outcome: Outcome, text: bytes) -> Generation:
        """Deploy another setting, which ends so, and roll it back while this is in S3."""
        before = watched.event("Update", ManifestObject=self.OBJECT)["ResourceProperties"]
        watched.converge(1)
        watched.settings = replace(watched.settings, timeout_seconds=700)
        watched.bucket.put("live", text)
        event = watched.event("Update", ManifestObject=self.OBJECT, old=before)
        watched.intake.on_event(event)
        if outcome is Outcome.CONVERGED:
            watched.converge(2)
        else:
            watched.save(2, outcome=outcome)
        back = watched.event("Update", old=event["ResourceProperties"])
        watched.send({**back, "ResourceProperties": before})
        assert watched.newest().undo
        return watched.newest()

    @pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.REFUSED])
    @pytest.mark.parametrize("text", [manifest("a", "broken"), b"adapters: ["], ids=["good", "bad"])
    def test_rollback_goes_back_to_what_was_in_force_whatever_is_in_s3(
        self, watched: Deployment, outcome: Outcome, text: bytes
    ) -> None:
        generation = self.rolled_back(watched, outcome, text)
        assert generation.request.refusal is None
        assert generation.request.manifest_version == "v1"
        assert [adapter.name for adapter in watched.registry.desired(3).adapters] == ["a"]

    def test_rollback_for_another_resource_keeps_the_manifest_in_s3(self, watched: Deployment) -> None:
        generation = self.rolled_back(watched, Outcome.CONVERGED, manifest("a", "b"))
        assert generation.request.manifest_version == "v2"
        assert [adapter.name for adapter in watched.registry.desired(3).adapters] == ["a", "b"]

    def update(self, watched: Deployment, *, seconds: int, old: dict[str, Any] | None = None) -> Any:
        """Deploy a setting; return the properties."""
        watched.settings = replace(watched.settings, timeout_seconds=seconds)
        event = watched.event("Update", ManifestObject=self.OBJECT, old=old or {})
        watched.intake.on_event(event)
        return event["ResourceProperties"]

    @pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.REFUSED])
    def test_rollback_does_not_bring_about_what_was_turned_down(
        self, watched: Deployment, outcome: Outcome
    ) -> None:
        one = self.update(watched, seconds=700)
        two = self.update(watched, seconds=800, old=one)
        watched.converge(3)
        watched.bucket.put("live", manifest("a", "broken"))
        watched.intake.manifest_changed("1")
        watched.save(4, outcome=outcome)
        watched.rolling_back = True
        back = watched.event("Update", old=two)
        watched.send({**back, "ResourceProperties": one})
        newest = watched.newest()
        assert (newest.number, newest.undo) == (5, True)
        assert [adapter.name for adapter in watched.registry.desired(5).adapters] == ["a"]

    @pytest.mark.parametrize("handled", [False, True], ids=["unseen", "under way"])
    def test_manifest_that_is_not_in_force_yet_passes_the_guards_after_a_rollback(
        self, watched: Deployment, handled: bool
    ) -> None:
        one = self.update(watched, seconds=700)
        two = self.update(watched, seconds=800, old=one)
        watched.converge(3)
        watched.bucket.put("live", manifest("a", "b"))
        if handled:
            watched.intake.manifest_changed("1")
        watched.rolling_back = True
        back = watched.event("Update", old=two)
        answer = watched.send({**back, "ResourceProperties": one})
        undo = watched.registry.generation(answer["Generation"])
        assert undo is not None
        assert undo.undo
        assert [adapter.name for adapter in watched.registry.desired(undo.number).adapters] == ["a"]
        newest = watched.newest()
        assert (newest.number, newest.request.source, newest.exempt) == (
            undo.number + 1,
            Source.OBJECT,
            False,
        )
        assert newest.request.target.settings.timeout_seconds == 700
        assert [adapter.name for adapter in watched.registry.desired(newest.number).adapters] == ["a", "b"]

    def test_manifest_that_comes_while_a_deployment_reads_the_one_before_is_not_lost(
        self, watched: Deployment
    ) -> None:
        read = watched.bucket.read

        def read_late(bucket: str, key: str) -> tuple[bytes, str] | None:
            found = read(bucket, key)
            watched.bucket.read = read  # type: ignore[method-assign]
            watched.bucket.put("live", manifest("a", "b"))
            watched.intake.manifest_changed("1")
            return found

        watched.bucket.read = read_late  # type: ignore[method-assign]
        self.update(watched, seconds=700)
        newest = watched.newest()
        assert [adapter.name for adapter in watched.registry.desired(newest.number).adapters] == ["a", "b"]
        assert newest.request.target.settings.timeout_seconds == 700

    def test_many_refused_manifests_do_not_make_the_next_one_slow(self, watched: Deployment) -> None:
        for number in range(50):
            watched.bucket.put("live", b"adapters: [")
            watched.intake.manifest_changed(str(number))
        assert watched.newest().number == 51
        reads: list[int] = []
        generation = watched.registry.generation
        watched.registry.generation = lambda number: (  # type: ignore[method-assign]
            reads.append(number) or generation(number)  # type: ignore[func-returns-value]
        )
        watched.bucket.put("live", manifest("b"))
        assert watched.intake.manifest_changed("good") is not None
        assert len(reads) < 20

    def test_rollback_after_a_manifest_that_was_taken_back_says_that_s3_has_another(
        self, watched: Deployment
    ) -> None:
        one = self.update(watched, seconds=700)
        two = self.update(watched, seconds=800, old=one)
        watched.converge(3)
        watched.bucket.put("live", manifest("broken"))
        watched.intake.manifest_changed("1")
        watched.save(4, outcome=Outcome.FAILED)
        failed = watched.newest().request
        undo = replace(failed, delivery="undo-4", source=Source.UNDO)
        watched.registry.open_generation(undo, watched.registry.desired(3))
        watched.converge(5)
        watched.rolling_back = True
        watched.send({**watched.event("Update", old=two), "ResourceProperties": one})
        newest = watched.newest()
        assert (newest.undo, newest.request.manifest_version) == (True, None)
        assert [adapter.name for adapter in watched.registry.desired(6).adapters] == ["a"]

    def moved(self, watched: Deployment, first: dict[str, Any], *names: str) -> dict[str, Any]:
        """Deploy a manifest from another place over the first one; return the properties."""
        watched.converge(1)
        watched.rolling_back = False
        watched.bucket.put("moved", manifest(*names))
        second = watched.properties(ManifestObject={"Bucket": "manifests", "Key": "moved"})
        watched.send({**watched.event("Update", old=first), "ResourceProperties": second})
        watched.rolling_back = True
        return second

    @pytest.mark.parametrize("outcome", [Outcome.CONVERGED, Outcome.FAILED, Outcome.REFUSED, Outcome.OPEN])
    @pytest.mark.parametrize("place", ["manifest in S3", "manifest in S3 that is gone", "asset"])
    def test_rollback_of_another_place_brings_back_the_manifest_before(
        self, deployment: Deployment, outcome: Outcome, place: str
    ) -> None:
        deployment.bucket.put("live", manifest("a"))
        asset = {"Manifest": deployment.asset("one", "a")}
        first = deployment.properties(**(asset if place == "asset" else {"ManifestObject": self.OBJECT}))
        deployment.send({**deployment.event("Create"), "ResourceProperties": first})
        second = self.moved(deployment, first, "b", "c")
        if outcome is Outcome.CONVERGED:
            deployment.converge(2)
        elif outcome is not Outcome.OPEN:
            deployment.save(2, outcome=outcome)
        if place != "manifest in S3":
            deployment.bucket.objects.clear()
        deployment.send({**deployment.event("Update", old=second), "ResourceProperties": first})
        assert deployment.newest().undo
        assert deployment.names() == ["a"]

    def test_rollback_of_another_prefix_does_not_keep_its_names(self, watched: Deployment) -> None:
        watched.converge(1)
        first = watched.properties(ManifestObject=self.OBJECT)
        second = {**first, "ComponentPrefix": "q"}
        watched.send({**watched.event("Update", old=first), "ResourceProperties": second})
        watched.converge(2)
        assert [adapter.component for adapter in watched.registry.desired(2).adapters] == ["q-a"]
        watched.send({**watched.event("Update", old=second), "ResourceProperties": first})
        assert [adapter.component for adapter in watched.registry.desired(3).adapters] == ["p-a"]

    def test_rollback_keeps_what_came_from_s3_meanwhile(self, watched: Deployment) -> None:
        watched.converge(1)
        one = watched.properties(ManifestObject=self.OBJECT)
        two = self.update(watched, seconds=700, old=one)
        watched.converge(2)
        watched.bucket.put("live", manifest("a", "b"))
        watched.intake.manifest_changed("1")
        watched.converge(3)
        watched.bucket.put("live", b"adapters: [")
        watched.intake.manifest_changed("2")
        watched.send({**watched.event("Update", old=two), "ResourceProperties": one})
        assert watched.newest().undo
        assert watched.names() == ["a", "b"]

    def test_rollback_does_not_go_back_behind_a_deletion(self, deployment: Deployment) -> None:
        first = deployment.properties(Manifest=deployment.asset("one", "a"))
        deployment.send({**deployment.event("Create"), "ResourceProperties": first})
        deployment.send({**deployment.event("Delete"), "ResourceProperties": first})
        deployment.converge(2)
        again = deployment.properties(Manifest=deployment.asset("two", "b"))
        deployment.send({**deployment.event("Create"), "ResourceProperties": again})
        deployment.save(3, outcome=Outcome.FAILED)
        second = deployment.properties(Manifest=deployment.asset("three", "c"))
        deployment.send({**deployment.event("Update", old=again), "ResourceProperties": second})
        deployment.bucket.objects.clear()
        with pytest.raises(FleetError, match="s3://assets/two is not there"):
            deployment.send({**deployment.event("Update", old=second), "ResourceProperties": again})

    def test_rollback_of_another_place_does_not_bring_about_what_had_failed_there(
        self, watched: Deployment
    ) -> None:
        watched.converge(1)
        watched.bucket.put("live", manifest("a", "broken"))
        watched.intake.manifest_changed("1")
        watched.save(2, outcome=Outcome.FAILED)
        undo = replace(watched.newest().request, delivery="undo-2", source=Source.UNDO)
        watched.registry.open_generation(undo, watched.registry.desired(1))
        watched.converge(3)
        first = watched.properties(ManifestObject=self.OBJECT)
        second = self.moved(watched, first, "b")
        watched.save(4, outcome=Outcome.REFUSED)
        watched.send({**watched.event("Update", old=second), "ResourceProperties": first})
        assert (watched.newest().number, watched.newest().undo) == (5, True)
        assert watched.names() == ["a"]

    @pytest.mark.parametrize("ends", ["late", "failed"])
    def test_rollback_succeeds_whatever_becomes_of_the_manifest_that_follows_it(
        self, watched: Deployment, ends: str
    ) -> None:
        watched.settings = replace(watched.settings, on_timeout=OnTimeout.FAIL)
        one = self.update(watched, seconds=700)
        two = self.update(watched, seconds=800, old=one)
        watched.converge(3)
        watched.bucket.put("live", manifest("a", "b"))
        event = {**watched.event("Update", old=two), "ResourceProperties": one}
        answer = watched.send(event)
        assert watched.newest().request.source is Source.OBJECT
        if ends == "late":
            watched.save(watched.newest().number, changes=1, pending=1, desired=2, in_service=1)
            watched.clock.sleep(701)
        else:
            lease = watched.registry.acquire("test", watched.clock.now(), 1.0)
            fleet = watched.registry.fleet()
            assert lease is not None
            assert fleet is not None
            watched.registry.save_fleet(replace(fleet, converged=0), lease)
            watched.registry.release(lease)
            watched.save(watched.newest().number, outcome=Outcome.FAILED, failed=1, desired=2, in_service=1)
        found = watched.complete(event, answer)
        assert found["IsComplete"]
        assert found["Data"]["Summary"].startswith("degraded: 1 of 2 adapters in service")

    def test_rollback_does_without_a_manifest_that_is_wrong(self, watched: Deployment) -> None:
        generation = self.rolled_back(watched, Outcome.CONVERGED, b"adapters: [")
        assert generation.request.refusal is None

    def test_manifest_that_comes_during_a_deployment_does_not_fail_it(self, watched: Deployment) -> None:
        event = watched.event("Update", ManifestObject=self.OBJECT, old={})
        answer = watched.intake.on_event(event)
        watched.bucket.put("live", manifest("a", "b"))
        watched.intake.manifest_changed("1")
        assert watched.complete(event, answer) == {"IsComplete": False}
        watched.save(3, outcome=Outcome.CONVERGED, desired=2, in_service=2)
        assert watched.complete(event, answer)["Data"]["Summary"] == "2 of 2 adapters in service"

    def test_manifest_that_comes_during_a_deployment_and_is_taken_back_does_not_fail_it(
        self, watched: Deployment
    ) -> None:
        watched.converge(1)
        event = watched.event("Update", ManifestObject=self.OBJECT, old={})
        answer = watched.intake.on_event(event)
        watched.bucket.put("live", manifest("a", "b"))
        watched.intake.manifest_changed("1")
        watched.save(3, outcome=Outcome.FAILED, reason="too many failed")
        assert watched.complete(event, answer) == {"IsComplete": False}
        undo = replace(watched.newest().request, source=Source.UNDO, delivery="undo-3")
        watched.registry.open_generation(undo, watched.registry.desired(1))
        assert watched.complete(event, answer) == {"IsComplete": False}
        watched.save(4, outcome=Outcome.CONVERGED, desired=1, in_service=1)
        assert watched.complete(event, answer)["IsComplete"]

    def test_manifest_that_is_wrong_does_not_hurt_a_deployment_under_way(self, watched: Deployment) -> None:
        event = watched.event("Update", ManifestObject=self.OBJECT, old={})
        answer = watched.intake.on_event(event)
        watched.bucket.put("live", b"adapters: 3")
        watched.intake.manifest_changed("1")
        assert watched.newest().outcome is Outcome.REFUSED
        assert watched.complete(event, answer) == {"IsComplete": False}
        watched.save(2, outcome=Outcome.CONVERGED, desired=1, in_service=1)
        assert watched.complete(event, answer)["IsComplete"]

    def test_manifest_that_a_guard_refuses_does_not_hurt_a_deployment_under_way(
        self, watched: Deployment
    ) -> None:
        event = watched.event("Update", ManifestObject=self.OBJECT, old={})
        answer = watched.intake.on_event(event)
        watched.bucket.put("live", manifest())
        watched.intake.manifest_changed("1")
        watched.save(3, outcome=Outcome.REFUSED, reason="the manifest has no adapters")
        assert watched.complete(event, answer) == {"IsComplete": False}
        lease = watched.registry.acquire("pass", watched.clock.now(), 40.0)
        assert lease is not None
        assert watched.registry.reopen(2, lease).outcome is Outcome.OPEN
        assert watched.complete(event, answer) == {"IsComplete": False}

    def test_event_that_comes_again_starts_the_machine_that_the_first_could_not(
        self, watched: Deployment
    ) -> None:
        watched.converge(1)
        watched.bucket.put("live", manifest("a", "b"))
        watched.intake.manifest_changed("1")
        started = watched.started[-1]
        watched.started.clear()
        watched.intake.manifest_changed("1")
        assert watched.started == [started]

    def test_manifest_that_was_taken_back_may_be_wanted_again(self, watched: Deployment) -> None:
        watched.converge(1)
        watched.bucket.put("live", manifest("a", "b"))
        watched.intake.manifest_changed("1")
        watched.save(2, outcome=Outcome.FAILED, reason="too many failed")
        undo = replace(watched.newest().request, source=Source.UNDO, delivery="undo-2")
        watched.registry.open_generation(undo, watched.registry.desired(1))
        assert watched.intake.manifest_changed("1") is None
        again = watched.intake.manifest_changed("2")
        assert again is not None
        assert (again.number, again.outcome) == (4, Outcome.OPEN)
        assert [adapter.name for adapter in watched.registry.desired(4).adapters] == ["a", "b"]

    def test_machine_that_could_not_be_started_is_started_when_the_event_comes_again(
        self, watched: Deployment
    ) -> None:
        watched.converge(1)
        watched.bucket.put("live", manifest("a", "b"))
        started: list[str] = []

        def start(_trigger: str, key: str) -> None:
            started.append(key)
            if len(started) == 1:
                raise RuntimeError("ThrottlingException: StartExecution")

        intake = replace(watched.intake, start_machine=start)
        with pytest.raises(RuntimeError):
            intake.manifest_changed("1")
        intake.manifest_changed("1")
        assert started == [started[0]] * 2
        assert watched.newest().number == 2

    def test_manifests_that_keep_coming_do_not_lengthen_a_deployment(self, watched: Deployment) -> None:
        event = watched.event("Update", ManifestObject=self.OBJECT, old={})
        answer = watched.intake.on_event(event)
        watched.clock.sleep(599)
        watched.bucket.put("live", manifest("a", "b"))
        watched.intake.manifest_changed("1")
        assert watched.complete(event, answer) == {"IsComplete": False}
        watched.save(3, changes=1)
        watched.clock.sleep(1)
        assert watched.complete(event, answer)["IsComplete"]

    def test_fleet_that_is_being_deleted_takes_no_manifest(self, watched: Deployment) -> None:
        watched.intake.on_event(watched.event("Delete", ManifestObject=self.OBJECT))
        watched.bucket.put("live", manifest("b"))
        assert watched.intake.manifest_changed("1") is None


def test_summary_fits_into_a_response(deployment: Deployment) -> None:
    deployment.intake.on_event(deployment.event("Create", Manifest=deployment.asset("one", "a")))
    generation = replace(
        deployment.newest(), outcome=Outcome.CONVERGED, failed=1, reason="\U0001f600" * 10_000
    )
    assert len(json.dumps(data_of(generation))) < 3000
