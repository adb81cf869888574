"""Which manifest a request means, above all a rollback."""

from typing import Any

import pytest

from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.state.generations import Outcome, Source
from tests.adapter_fleet.fleet.requests.conftest import OBJECT, Deployment, manifest


def test_rollback_of_an_old_manifest_deployed_again_is_an_undo(deployment: Deployment) -> None:
    first = deployment.create("a")["ResourceProperties"]
    second = deployment.properties(Manifest=deployment.asset("two", "b"))
    deployment.rolling_back = False
    deployment.update(second, old=first)
    deployment.update(first, old=second)
    deployment.rolling_back = True
    deployment.update(second, old=first)
    assert deployment.newest().undo


@pytest.mark.parametrize("text", [None, b"adapters: ["], ids=["gone", "unreadable"])
def test_rollback_needs_no_manifest_in_s3(deployment: Deployment, text: bytes | None) -> None:
    first = deployment.create("a")["ResourceProperties"]
    deployment.converge(1)
    second = deployment.properties(Manifest=deployment.asset("two", "b"))
    deployment.update(second, old=first)
    deployment.save(2, outcome=Outcome.FAILED)
    if text is None:
        del deployment.bucket.objects["one"]
    else:
        deployment.bucket.put("one", text)
    deployment.update(first, old=second)
    assert (deployment.newest().undo, deployment.newest().outcome) == (True, Outcome.OPEN)
    assert deployment.registry.generations.desired(3) == deployment.registry.generations.desired(1)


def test_rollback_does_not_go_back_behind_a_deletion(deployment: Deployment) -> None:
    deployment.create("a")
    deployment.send(deployment.event("Delete"))
    deployment.converge(2)
    again = deployment.send(deployment.event("Create", Manifest=deployment.asset("two", "b")))
    deployment.save(3, outcome=Outcome.FAILED)
    second = deployment.properties(Manifest=deployment.asset("three", "c"))
    deployment.update(second, old=again["ResourceProperties"])
    deployment.bucket.objects.clear()
    with pytest.raises(FleetError, match="s3://assets/two is not there"):
        deployment.update(again["ResourceProperties"], old=second)


class TestManifestInS3:
    def moved(self, watched: Deployment, first: dict[str, Any], *names: str) -> dict[str, Any]:
        """Deploy a manifest from another place over the first one; return the properties."""
        watched.converge(1)
        watched.rolling_back = False
        watched.bucket.put("moved", manifest(*names))
        second = watched.properties(ManifestObject={"Bucket": "manifests", "Key": "moved"})
        watched.update(second, old=first)
        watched.rolling_back = True
        return second

    @pytest.mark.parametrize(
        ("outcome", "text", "version", "names"),
        [
            (Outcome.FAILED, manifest("a", "broken"), "v1", ["a"]),
            (Outcome.REFUSED, b"adapters: [", "v1", ["a"]),
            (Outcome.CONVERGED, manifest("a", "b"), "v2", ["a", "b"]),
            (Outcome.CONVERGED, b"adapters: [", "v1", ["a"]),
        ],
        ids=["failed", "invalid", "for another resource", "for another resource, invalid"],
    )
    def test_rollback_goes_back_to_the_manifest_in_force_whatever_is_in_s3(
        self, watched: Deployment, outcome: Outcome, text: bytes, version: str, names: list[str]
    ) -> None:
        before = watched.properties(ManifestObject=OBJECT)
        watched.converge(1)
        watched.bucket.put("live", text)
        second = watched.update_setting(700, old=before)
        watched.save(2, outcome=outcome)
        watched.update(before, old=second)
        newest = watched.newest()
        assert (newest.undo, newest.request.refusal) == (True, None)
        assert newest.request.manifest_version == version
        assert watched.names(3) == names

    @pytest.mark.parametrize("handled", [False, True], ids=["unseen", "under way"])
    def test_pending_manifest_passes_the_guards_after_a_rollback(
        self, watched: Deployment, handled: bool
    ) -> None:
        one = watched.update_setting(700)
        two = watched.update_setting(800, old=one)
        watched.converge(3)
        watched.bucket.put("live", manifest("a", "b"))
        if handled:
            watched.handler.manifest_changed("1")
        watched.rolling_back = True
        number = watched.update(one, old=two)["Generation"]
        newest = watched.newest()
        assert watched.generation(number).undo
        assert watched.names(number) == ["a"]
        assert (newest.number, newest.request.source) == (number + 1, Source.OBJECT)
        assert not newest.exempt
        assert newest.request.target.settings.timeout_seconds == 700
        assert watched.names() == ["a", "b"]

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
        deployment.update(first, old=second)
        assert deployment.newest().undo
        assert deployment.names() == ["a"]

    def test_rollback_of_another_prefix_restores_the_names(self, watched: Deployment) -> None:
        watched.converge(1)
        first = watched.properties(ManifestObject=OBJECT)
        second = {**first, "ComponentPrefix": "q"}
        watched.update(second, old=first)
        watched.converge(2)
        assert [adapter.component for adapter in watched.registry.generations.desired(2).adapters] == ["q-a"]
        watched.update(first, old=second)
        assert [adapter.component for adapter in watched.registry.generations.desired(3).adapters] == ["p-a"]

    def test_rollback_of_another_location_does_not_apply_a_manifest_that_failed_there(
        self, watched: Deployment
    ) -> None:
        watched.converge(1)
        watched.put_manifest(manifest("a", "broken"))
        watched.undo(2, to=1)
        watched.converge(3)
        first = watched.properties(ManifestObject=OBJECT)
        second = self.moved(watched, first, "b")
        watched.save(4, outcome=Outcome.REFUSED)
        watched.update(first, old=second)
        assert (watched.newest().number, watched.newest().undo) == (5, True)
        assert watched.names() == ["a"]
