"""Which manifest a request means, above all a rollback."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.state.generations import Outcome, Source
from tests.adapter_fleet.fleet.requests.deployment import OBJECT, Deployment, manifest


def test_rollback_of_cloudformation_is_an_undo(deployment: Deployment) -> None:
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.handler.on_event(first)
    second = deployment.event(
        "Update", Manifest=deployment.asset("two", "b"), old=first["ResourceProperties"]
    )
    deployment.handler.on_event(second)
    assert not deployment.newest().undo
    deployment.handler.on_event(
        {
            **deployment.event("Update", old=second["ResourceProperties"]),
            "ResourceProperties": first["ResourceProperties"],
        }
    )
    assert deployment.newest().undo
    assert [adapter.name for adapter in deployment.registry.desired(3).adapters] == ["a"]


def test_rollback_of_an_old_manifest_deployed_again_is_an_undo(deployment: Deployment) -> None:
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    second = deployment.event("Update", Manifest=deployment.asset("two", "b"))
    one, two = first["ResourceProperties"], second["ResourceProperties"]
    deployment.handler.on_event(first)
    deployment.rolling_back = False
    for old, new in ((one, two), (two, one)):
        deployment.handler.on_event({**deployment.event("Update", old=old), "ResourceProperties": new})
    deployment.rolling_back = True
    deployment.handler.on_event({**deployment.event("Update", old=one), "ResourceProperties": two})
    assert deployment.newest().undo


@pytest.mark.parametrize("text", [None, b"adapters: ["], ids=["gone", "unreadable"])
def test_rollback_needs_no_manifest_in_s3(deployment: Deployment, text: bytes | None) -> None:
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.handler.on_event(first)
    deployment.converge(1)
    second = deployment.event(
        "Update", Manifest=deployment.asset("two", "b"), old=first["ResourceProperties"]
    )
    deployment.handler.on_event(second)
    deployment.save(2, outcome=Outcome.FAILED)
    if text is None:
        del deployment.bucket.objects["one"]
    else:
        deployment.bucket.put("one", text)
    back = deployment.event("Update", old=second["ResourceProperties"])
    deployment.handler.on_event({**back, "ResourceProperties": first["ResourceProperties"]})
    newest = deployment.newest()
    assert newest.undo
    assert newest.outcome is Outcome.OPEN
    assert deployment.registry.desired(3) == deployment.registry.desired(1)


def test_rollback_of_a_refused_move_is_accepted(deployment: Deployment) -> None:
    first = deployment.event("Create", Manifest=deployment.asset("one", "a"))
    deployment.handler.on_event(first)
    back = deployment.event("Update", old=deployment.properties(FleetUid="fleet-2"))
    deployment.handler.on_event({**back, "ResourceProperties": first["ResourceProperties"]})
    assert deployment.newest().number == 2
    assert [adapter.name for adapter in deployment.registry.desired(2).adapters] == ["a"]


class TestManifestInS3:
    def moved(self, watched: Deployment, first: dict[str, Any], *names: str) -> dict[str, Any]:
        """Deploy a manifest from another place over the first one; return the properties."""
        watched.converge(1)
        watched.rolling_back = False
        watched.bucket.put("moved", manifest(*names))
        second = watched.properties(ManifestObject={"Bucket": "manifests", "Key": "moved"})
        watched.send({**watched.event("Update", old=first), "ResourceProperties": second})
        watched.rolling_back = True
        return second

    @pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.REFUSED])
    @pytest.mark.parametrize("text", [manifest("a", "broken"), b"adapters: ["], ids=["good", "bad"])
    def test_rollback_goes_back_to_the_manifest_in_force_whatever_is_in_s3(
        self, watched: Deployment, outcome: Outcome, text: bytes
    ) -> None:
        generation = watched.rolled_back(outcome, text)
        assert generation.request.refusal is None
        assert generation.request.manifest_version == "v1"
        assert [adapter.name for adapter in watched.registry.desired(3).adapters] == ["a"]

    def test_rollback_for_another_resource_keeps_the_manifest_in_s3(self, watched: Deployment) -> None:
        generation = watched.rolled_back(Outcome.CONVERGED, manifest("a", "b"))
        assert generation.request.manifest_version == "v2"
        assert [adapter.name for adapter in watched.registry.desired(3).adapters] == ["a", "b"]

    @pytest.mark.parametrize("handled", [False, True], ids=["unseen", "under way"])
    def test_pending_manifest_passes_the_guards_after_a_rollback(
        self, watched: Deployment, handled: bool
    ) -> None:
        one = watched.update(seconds=700)
        two = watched.update(seconds=800, old=one)
        watched.converge(3)
        watched.bucket.put("live", manifest("a", "b"))
        if handled:
            watched.handler.manifest_changed("1")
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

    def test_rollback_after_an_undone_manifest_has_no_manifest_version(self, watched: Deployment) -> None:
        one = watched.update(seconds=700)
        two = watched.update(seconds=800, old=one)
        watched.converge(3)
        watched.bucket.put("live", manifest("broken"))
        watched.handler.manifest_changed("1")
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

    @pytest.mark.parametrize("outcome", [Outcome.CONVERGED, Outcome.FAILED, Outcome.REFUSED, Outcome.OPEN])
    @pytest.mark.parametrize("place", ["manifest in S3", "manifest in S3 that is gone", "asset"])
    def test_rollback_of_another_location_restores_the_manifest_before(
        self, deployment: Deployment, outcome: Outcome, place: str
    ) -> None:
        deployment.bucket.put("live", manifest("a"))
        asset = {"Manifest": deployment.asset("one", "a")}
        first = deployment.properties(**(asset if place == "asset" else {"ManifestObject": OBJECT}))
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

    def test_rollback_of_another_prefix_restores_the_names(self, watched: Deployment) -> None:
        watched.converge(1)
        first = watched.properties(ManifestObject=OBJECT)
        second = {**first, "ComponentPrefix": "q"}
        watched.send({**watched.event("Update", old=first), "ResourceProperties": second})
        watched.converge(2)
        assert [adapter.component for adapter in watched.registry.desired(2).adapters] == ["q-a"]
        watched.send({**watched.event("Update", old=second), "ResourceProperties": first})
        assert [adapter.component for adapter in watched.registry.desired(3).adapters] == ["p-a"]

    def test_rollback_keeps_a_manifest_that_came_from_s3_meanwhile(self, watched: Deployment) -> None:
        watched.converge(1)
        one = watched.properties(ManifestObject=OBJECT)
        two = watched.update(seconds=700, old=one)
        watched.converge(2)
        watched.bucket.put("live", manifest("a", "b"))
        watched.handler.manifest_changed("1")
        watched.converge(3)
        watched.bucket.put("live", b"adapters: [")
        watched.handler.manifest_changed("2")
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

    def test_rollback_of_another_location_does_not_apply_a_manifest_that_failed_there(
        self, watched: Deployment
    ) -> None:
        watched.converge(1)
        watched.bucket.put("live", manifest("a", "broken"))
        watched.handler.manifest_changed("1")
        watched.save(2, outcome=Outcome.FAILED)
        undo = replace(watched.newest().request, delivery="undo-2", source=Source.UNDO)
        watched.registry.open_generation(undo, watched.registry.desired(1))
        watched.converge(3)
        first = watched.properties(ManifestObject=OBJECT)
        second = self.moved(watched, first, "b")
        watched.save(4, outcome=Outcome.REFUSED)
        watched.send({**watched.event("Update", old=second), "ResourceProperties": first})
        assert (watched.newest().number, watched.newest().undo) == (5, True)
        assert watched.names() == ["a"]

    def test_rollback_ignores_an_invalid_manifest(self, watched: Deployment) -> None:
        generation = watched.rolled_back(Outcome.CONVERGED, b"adapters: [")
        assert generation.request.refusal is None
