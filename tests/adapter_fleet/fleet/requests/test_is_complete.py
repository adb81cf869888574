"""Whether a deployment is done, and what its response says."""

import json
from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.fleet.requests.is_complete import FleetError, data_of
from adapter_fleet.fleet.state.configuration import MAX_PASS_SECONDS, STANDSTILL_PASSES
from adapter_fleet.fleet.state.fleet_settings import OnTimeout
from adapter_fleet.fleet.state.generations import Outcome, Source
from tests.adapter_fleet.fleet.requests.conftest import OBJECT, Deployment, manifest


def at_its_timeout(deployment: Deployment, **progress: Any) -> dict[str, Any]:
    """Deploy an adapter, and let time pass until the timeout; return the event."""
    event = deployment.create("a")
    deployment.save(1, **{"desired": 1, "pending": 1, "changes": 1, **progress})
    deployment.clock.time += 601
    return event


def test_deployment_ends_with_the_counts(deployment: Deployment) -> None:
    event = deployment.create("a", "b")
    deployment.save(1, outcome=Outcome.CONVERGED, desired=2, in_service=1, failed=1, reason="b: bad tensors")
    assert deployment.complete(event) == {
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
    event = deployment.create("a")
    deployment.save(1, outcome=outcome, reason="too many failed")
    with pytest.raises(FleetError, match="too many failed"):
        deployment.complete(event)


def test_superseded_deployment_fails(deployment: Deployment) -> None:
    event = deployment.create("a")
    deployment.send(deployment.event("Update", Manifest=deployment.asset("two", "b")))
    with pytest.raises(FleetError, match="generation 1 is superseded"):
        deployment.complete(event)


def test_deployment_succeeds_at_its_timeout_with_pending_adapters(deployment: Deployment) -> None:
    event = at_its_timeout(deployment)
    deployment.end_a_pass()
    completed = deployment.complete(event)
    assert completed["IsComplete"]
    assert completed["Data"]["Pending"] == "1"


def test_deployment_fails_at_its_timeout_if_passes_keep_failing(deployment: Deployment) -> None:
    event = at_its_timeout(deployment)
    deployment.end_a_pass(failed_passes=STANDSTILL_PASSES, trouble="a pass failed: KeyError: 'x'")
    with pytest.raises(FleetError, match=r"one adapter is pending: 3 passes in a row .*KeyError: 'x'"):
        deployment.complete(event)


def test_deployment_fails_at_its_timeout_if_no_pass_has_ended(deployment: Deployment) -> None:
    event = at_its_timeout(deployment)
    with pytest.raises(FleetError, match="no pass has ended for 10 minutes"):
        deployment.complete(event)


@pytest.mark.parametrize("ends", [True, False])
def test_deployment_fails_at_its_timeout_if_passes_are_killed(deployment: Deployment, ends: bool) -> None:
    event = at_its_timeout(deployment)
    deployment.clock.time += MAX_PASS_SECONDS - 541
    deployment.end_a_pass(pass_ended=deployment.clock.now() if ends else 0.0)
    if ends:
        assert deployment.complete(event)["Data"]["Pending"] == "1"
        return
    with pytest.raises(FleetError, match="no pass has ended for 21 minutes"):
        deployment.complete(event)


def test_rollback_with_failing_passes_is_degraded_and_no_failure(deployment: Deployment) -> None:
    old = deployment.create("a")["ResourceProperties"]
    deployment.converge(1)
    new = deployment.properties(Manifest=deployment.asset("two", "b"))
    deployment.update(new, old=old)
    deployment.rolling_back = True
    undo = deployment.update(old, old=new)
    deployment.save(undo["Generation"], desired=1, pending=1, changes=1)
    deployment.clock.time += 601
    deployment.end_a_pass(failed_passes=9, trouble="a pass failed: KeyError: 'x'")
    assert deployment.complete(undo)["Data"]["Summary"].startswith("degraded: ")


def test_deployment_fails_at_its_timeout_if_the_setting_says_so(deployment: Deployment) -> None:
    deployment.settings = replace(deployment.settings, on_timeout=OnTimeout.FAIL)
    event = at_its_timeout(deployment)
    deployment.end_a_pass()
    with pytest.raises(FleetError, match="one adapter is pending"):
        deployment.complete(event)


def test_deployment_without_any_observation_fails_at_its_timeout(deployment: Deployment) -> None:
    event = at_its_timeout(deployment, changes=None, reason="the endpoint cannot be listed: AccessDenied")
    deployment.end_a_pass()
    with pytest.raises(FleetError, match="nothing is known of the fleet: the endpoint cannot be listed"):
        deployment.complete(event)


def test_deletion_reports_what_is_left_at_its_timeout_and_can_be_repeated(deployment: Deployment) -> None:
    deployment.create("a")
    event = deployment.send(deployment.event("Delete"))
    deployment.save(2, pending=7)
    deployment.clock.time += 601
    with pytest.raises(FleetError, match="7 adapters are left"):
        deployment.complete(event)
    assert deployment.send(deployment.event("Delete"))["Generation"] == 3
    assert deployment.newest().request.source is Source.DELETION


def test_stalled_machine_is_started_again(deployment: Deployment) -> None:
    event = deployment.create("a")
    for started in (1, 2):
        deployment.clock.time += 100
        deployment.complete(event)
        assert len(deployment.started) == started


def test_summary_fits_into_a_response(deployment: Deployment) -> None:
    deployment.create("a")
    generation = replace(
        deployment.newest(), outcome=Outcome.CONVERGED, failed=1, reason="\U0001f600" * 10_000
    )
    assert len(json.dumps(data_of(generation))) < 3000


class TestManifestInS3:
    @pytest.fixture
    def event(self, watched: Deployment) -> dict[str, Any]:
        watched.converge(1)
        return watched.send(watched.event("Update", ManifestObject=OBJECT, old={}))

    @pytest.mark.parametrize("ends", ["late", "failed"])
    def test_rollback_succeeds_even_if_the_manifest_after_it_fails(
        self, watched: Deployment, ends: str
    ) -> None:
        watched.settings = replace(watched.settings, on_timeout=OnTimeout.FAIL)
        one = watched.update_setting(700)
        two = watched.update_setting(800, old=one)
        watched.converge(3)
        watched.bucket.put("live", manifest("a", "b"))
        event = watched.update(one, old=two)
        newest = watched.newest()
        assert newest.request.source is Source.OBJECT
        if ends == "late":
            watched.save(newest.number, changes=1, pending=1, desired=2, in_service=1)
            watched.clock.sleep(701)
        else:
            # There is nothing that the fleet could go back to.
            del watched.registry.items["generations"][f"{newest.in_force:010}"]
            watched.save(newest.number, outcome=Outcome.FAILED, failed=1, desired=2, in_service=1)
        found = watched.complete(event)
        assert found["IsComplete"]
        assert found["Data"]["Summary"].startswith("degraded: 1 of 2 adapters in service")

    def test_undone_manifest_during_a_deployment_does_not_fail_that(
        self, watched: Deployment, event: dict[str, Any]
    ) -> None:
        watched.put_manifest(manifest("a", "b"))
        watched.save(3, outcome=Outcome.FAILED)
        assert watched.complete(event) == {"IsComplete": False}
        watched.undo(3, to=1)
        assert watched.complete(event) == {"IsComplete": False}
        watched.save(4, outcome=Outcome.CONVERGED, desired=1, in_service=1)
        assert watched.complete(event)["IsComplete"]

    @pytest.mark.parametrize("refused", [0, 1, 2])
    def test_manifest_also_after_refused_ones_takes_a_deployment_over(
        self, watched: Deployment, event: dict[str, Any], refused: int
    ) -> None:
        for number in range(refused):
            watched.put_manifest(b"adapters: %d" % number)
        watched.put_manifest(manifest("a", "b"))
        newest = watched.newest().number
        assert newest == 3 + refused
        assert watched.complete(event) == {"IsComplete": False}
        watched.save(newest, outcome=Outcome.CONVERGED, desired=2, in_service=2)
        assert watched.complete(event)["Data"]["Summary"] == "2 of 2 adapters in service"

    @pytest.mark.parametrize("text", [b"adapters: 3", manifest()], ids=["invalid", "by a guard"])
    def test_refused_manifest_does_not_disturb_an_open_deployment(
        self, watched: Deployment, event: dict[str, Any], text: bytes
    ) -> None:
        watched.put_manifest(text)
        if watched.newest().outcome is Outcome.OPEN:
            watched.save(3, outcome=Outcome.REFUSED, reason="the manifest has no adapters")
            assert watched.complete(event) == {"IsComplete": False}
            assert watched.registry.generations.reopen(2, watched.lease()).outcome is Outcome.OPEN
        assert watched.newest().outcome is Outcome.REFUSED
        assert watched.complete(event) == {"IsComplete": False}
        watched.save(2, outcome=Outcome.CONVERGED, desired=1, in_service=1)
        assert watched.complete(event)["IsComplete"]
