"""Events of CloudFormation and new manifests in S3 become generations."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.state.generations import Outcome, Source
from adapter_fleet.fleet.state.registry import Lease
from tests.adapter_fleet.fleet.requests.deployment import OBJECT, UID, Deployment, manifest


def test_creation_stores_the_desired_state_and_starts_the_machine(deployment: Deployment) -> None:
    answer = deployment.handler.on_event(deployment.event("Create", Manifest=deployment.asset("one", "a")))
    assert answer == {"PhysicalResourceId": UID, "Generation": 1}
    (wanted,) = deployment.registry.desired(1).adapters
    assert (wanted.name, wanted.component) == ("a", "p-a")
    assert len(deployment.started) == 1
    assert deployment.newest().request.target.tags == {"team": "x"}


def test_same_request_id_with_another_response_url_is_another_event(
    deployment: Deployment,
) -> None:
    event = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.handler.on_event(event)
    answer = deployment.handler.on_event({**event, "ResponseURL": "https://response/another"})
    assert answer["Generation"] == 2


def test_old_manifest_deployed_again_by_a_person_is_no_undo(deployment: Deployment) -> None:
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.handler.on_event(first)
    second = deployment.event(
        "Update", Manifest=deployment.asset("two", "a", "b"), old=first["ResourceProperties"]
    )
    deployment.handler.on_event(second)
    deployment.rolling_back = False
    again = deployment.event("Update", old=second["ResourceProperties"])
    deployment.handler.on_event({**again, "ResourceProperties": first["ResourceProperties"]})
    assert not deployment.newest().exempt


def test_components_get_the_stack_s_tags_and_the_fleet_s_tags_win(deployment: Deployment) -> None:
    deployment.rolling_back = False
    deployment.stack_tags = {"cost-center": "42", "team": "of the stack"}
    deployment.send(deployment.event("Create", Manifest=deployment.asset("one", "a")))
    assert deployment.newest().request.target.tags == {"cost-center": "42", "team": "x"}


@pytest.mark.parametrize("key", ["aws:cloudformation:stack-name", "fleet-uid", "Fleet-UID"])
def test_tags_that_a_stack_cannot_pass_on_are_left_out(deployment: Deployment, key: str) -> None:
    deployment.rolling_back = False
    deployment.stack_tags = {key: "of another fleet"}
    deployment.send(deployment.event("Create", Manifest=deployment.asset("one", "a")))
    assert deployment.newest().request.target.tags == {"team": "x"}


def test_stack_tags_that_the_app_excludes_are_left_out(deployment: Deployment) -> None:
    deployment.rolling_back = False
    deployment.stack_tags = {"cost-center": "42", "owner": "me"}
    deployment.send(
        deployment.event("Create", Manifest=deployment.asset("one", "a"), StackTagsLeftOut=["owner"])
    )
    assert deployment.newest().request.target.tags == {"cost-center": "42", "team": "x"}


def test_stack_tags_stay_if_cloudformation_does_not_answer(deployment: Deployment) -> None:
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


def test_deployment_with_a_missing_manifest_fails(deployment: Deployment) -> None:
    event = deployment.event("Create", Manifest={"Bucket": "assets", "Key": "one", "Digest": "x"})
    with pytest.raises(FleetError, match="the manifest s3://assets/one is not there"):
        deployment.handler.on_event(event)


def test_fleet_can_be_created_after_its_deletion(deployment: Deployment) -> None:
    deployment.handler.on_event(deployment.event("Create", Manifest=deployment.asset("one", "a")))
    deployment.save(1, outcome=Outcome.FAILED)
    deployment.handler.on_event(deployment.event("Delete"))
    create = deployment.event("Create", Manifest=deployment.asset("two", "a"))
    with pytest.raises(ValueError, match="is being deleted"):
        deployment.handler.on_event(create)
    deployment.converge(2)
    assert deployment.handler.on_event(create)["Generation"] == 3
    assert deployment.newest().outcome is Outcome.OPEN


def test_invalid_manifest_is_refused_and_changes_nothing(deployment: Deployment) -> None:
    deployment.bucket.put("one", b"adapters: [{name: a}]")
    event = deployment.event("Create", Manifest={"Bucket": "assets", "Key": "one", "Digest": "x"})
    deployment.handler.on_event(event)
    refusal = deployment.newest().request.refusal
    assert refusal is not None
    assert "adapter 'a'" in refusal


def test_too_many_tags_together_with_the_fleet_s_are_refused(
    deployment: Deployment,
) -> None:
    tags = {f"tag{number}": "x" for number in range(50)}
    deployment.handler.on_event(deployment.event("Create", Manifest=deployment.asset("one", "a"), Tags=tags))
    assert "adapter 'a': tags: should be at most 50" in str(deployment.newest().request.refusal)


def test_rank_above_the_limit_of_the_endpoint_is_refused(deployment: Deployment) -> None:
    deployment.settings = replace(deployment.settings, max_lora_rank=8)
    text = json.loads(manifest("a"))
    text["adapters"][0]["rank"] = 16
    deployment.bucket.put("one", json.dumps(text).encode())
    event = deployment.event("Create", Manifest={"Bucket": "assets", "Key": "one", "Digest": "x"})
    deployment.handler.on_event(event)
    assert "lora-rank" in str(deployment.newest().request.refusal)


def test_another_fleet_uid_is_refused(deployment: Deployment) -> None:
    with pytest.raises(FleetError, match="'FleetUid' should be 'fleet-1', that of the function, got 'anoth"):
        deployment.handler.on_event(deployment.event("Create", FleetUid="another"))


def test_update_that_would_change_the_fleet_uid_is_refused(
    deployment: Deployment,
) -> None:
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.handler.on_event(first)
    # CloudFormation updates the functions of a moved fleet first.
    moved = replace(deployment.handler, uid="fleet-2")
    update = deployment.event("Update", old=first["ResourceProperties"], FleetUid="fleet-2")
    with pytest.raises(
        FleetError,
        match="'FleetUid' should be 'fleet-1' as long as the fleet is there, got 'fleet-2': its construct"
        " was moved or renamed; give it fleet_uid='fleet-1', or bring",
    ):
        moved.on_event(update)
    assert deployment.newest().number == 1


class TestManifestInS3:
    def test_version_in_force_is_not_read_and_makes_no_generation(self, watched: Deployment) -> None:
        watched.bucket.read = None  # type: ignore[method-assign,assignment]
        assert watched.handler.manifest_changed("1") is None

    def test_new_version_makes_a_generation_after_a_move_out_of_s3_was_refused(
        self, watched: Deployment
    ) -> None:
        watched.converge(1)
        watched.handler.on_event(watched.event("Update", Manifest=watched.asset("one", "c")))
        watched.save(2, outcome=Outcome.REFUSED)
        watched.bucket.put("live", manifest("a", "b"))
        generation = watched.handler.manifest_changed("1")
        assert generation is not None
        assert [adapter.name for adapter in watched.registry.desired(3).adapters] == ["a", "b"]

    def test_manifest_that_a_refused_move_named_is_not_read(self, deployment: Deployment) -> None:
        deployment.handler.on_event(deployment.event("Create", Manifest=deployment.asset("one", "a")))
        deployment.converge(1)
        deployment.bucket.put("live", manifest("b"))
        deployment.handler.on_event(deployment.event("Update", ManifestObject=OBJECT))
        deployment.save(2, outcome=Outcome.REFUSED)
        assert deployment.handler.manifest_changed("1") is None

    def test_late_event_applies_the_newest_version(self, watched: Deployment) -> None:
        watched.bucket.put("live", manifest("b"))
        watched.bucket.put("live", manifest("c"))
        watched.handler.manifest_changed("1")
        watched.handler.manifest_changed("2")
        assert [adapter.name for adapter in watched.registry.desired(2).adapters] == ["c"]
        assert watched.newest().number == 2

    def test_deleted_manifest_leaves_the_last_one_in_force(self, watched: Deployment) -> None:
        fleet = watched.registry.fleet()
        assert fleet is not None
        lease = watched.registry.acquire("test", watched.clock.now(), 1.0)
        assert isinstance(lease, Lease)
        watched.registry.save_fleet(replace(fleet, converged=1), lease)
        watched.bucket.objects.clear()
        watched.handler.on_event(watched.event("Update", ManifestObject=OBJECT, old={}))
        assert [adapter.name for adapter in watched.registry.desired(2).adapters] == ["a"]

    def test_manifest_written_while_a_deployment_reads_the_previous_one_is_not_lost(
        self, watched: Deployment
    ) -> None:
        read = watched.bucket.read

        def read_late(bucket: str, key: str) -> tuple[bytes, str] | None:
            found = read(bucket, key)
            watched.bucket.read = read  # type: ignore[method-assign]
            watched.bucket.put("live", manifest("a", "b"))
            watched.handler.manifest_changed("1")
            return found

        watched.bucket.read = read_late  # type: ignore[method-assign]
        watched.update(seconds=700)
        newest = watched.newest()
        assert [adapter.name for adapter in watched.registry.desired(newest.number).adapters] == ["a", "b"]
        assert newest.request.target.settings.timeout_seconds == 700

    def test_many_refused_manifests_do_not_slow_the_next_one(self, watched: Deployment) -> None:
        for number in range(50):
            watched.bucket.put("live", b"adapters: [")
            watched.handler.manifest_changed(str(number))
        assert watched.newest().number == 51
        reads: list[int] = []
        generation = watched.registry.generation
        watched.registry.generation = lambda number: (  # type: ignore[method-assign]
            reads.append(number) or generation(number)  # type: ignore[func-returns-value]
        )
        watched.bucket.put("live", manifest("b"))
        assert watched.handler.manifest_changed("good") is not None
        assert len(reads) < 20

    def test_undone_manifest_can_be_applied_again(self, watched: Deployment) -> None:
        watched.converge(1)
        watched.bucket.put("live", manifest("a", "b"))
        watched.handler.manifest_changed("1")
        watched.save(2, outcome=Outcome.FAILED, reason="too many failed")
        undo = replace(watched.newest().request, source=Source.UNDO, delivery="undo-2")
        watched.registry.open_generation(undo, watched.registry.desired(1))
        assert watched.handler.manifest_changed("1") is None
        again = watched.handler.manifest_changed("2")
        assert again is not None
        assert (again.number, again.outcome) == (4, Outcome.OPEN)
        assert [adapter.name for adapter in watched.registry.desired(4).adapters] == ["a", "b"]

    def test_repeated_event_starts_the_machine_after_a_failed_start(self, watched: Deployment) -> None:
        watched.converge(1)
        watched.bucket.put("live", manifest("a", "b"))
        started: list[str] = []

        def start(_trigger: str, key: str) -> None:
            started.append(key)
            if len(started) == 1:
                raise RuntimeError("ThrottlingException: StartExecution")

        handler = replace(watched.handler, start_machine=start)
        with pytest.raises(RuntimeError):
            handler.manifest_changed("1")
        handler.manifest_changed("1")
        assert started == [started[0]] * 2
        assert watched.newest().number == 2

    def test_fleet_in_deletion_applies_no_manifest(self, watched: Deployment) -> None:
        watched.handler.on_event(watched.event("Delete", ManifestObject=OBJECT))
        watched.bucket.put("live", manifest("b"))
        assert watched.handler.manifest_changed("1") is None
