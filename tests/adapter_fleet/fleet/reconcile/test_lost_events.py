"""A manifest in S3 whose event was lost: whoever looks next takes it, and what was turned down stays so."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_fleet.fleet.state.generations import Outcome, Source
from tests.adapter_fleet.fleet.reconcile.test_requests import Deployment, manifest

OBJECT = {"Bucket": "manifests", "Key": "live"}


@pytest.fixture
def watched() -> Deployment:
    """A fleet whose first manifest in S3 is in force."""
    deployment = Deployment()
    deployment.bucket.put("live", manifest("a"))
    deployment.intake.on_event(deployment.event("Create", ManifestObject=OBJECT))
    deployment.converge(1)
    return deployment


def names(deployment: Deployment) -> list[str]:
    number = deployment.newest().number
    return [adapter.name for adapter in deployment.registry.desired(number).adapters]


def update(watched: Deployment, *, seconds: int, old: dict[str, Any] | None = None) -> dict[str, Any]:
    """Deploy a setting; return the properties."""
    event = watched.event("Update", ManifestObject=OBJECT, old=old or {}, Timeout=str(seconds))
    watched.intake.on_event(event)
    properties: dict[str, Any] = event["ResourceProperties"]
    return properties


def test_manifest_whose_event_was_lost_is_taken(watched: Deployment) -> None:
    watched.bucket.put("live", manifest("a", "b"))
    made = watched.intake.reread()
    assert made is not None
    assert (made.request.source, made.exempt) == (Source.OBJECT, False)
    assert names(watched) == ["a", "b"]
    assert watched.started[-1][0] == "object"


def test_first_manifest_whose_event_was_lost_is_taken() -> None:
    deployment = Deployment()
    deployment.intake.on_event(deployment.event("Create", ManifestObject=OBJECT))
    assert deployment.intake.reread() is None
    deployment.bucket.put("live", manifest("a"))
    assert deployment.intake.reread() is not None
    assert names(deployment) == ["a"]


def test_look_at_what_was_taken_costs_one_call_and_makes_nothing(watched: Deployment) -> None:
    watched.bucket.read = None  # type: ignore[method-assign,assignment]
    assert watched.intake.reread() is None
    assert watched.newest().number == 1
    assert watched.bucket.looks == 1


def test_event_that_comes_after_the_look_makes_nothing(watched: Deployment) -> None:
    watched.bucket.put("live", manifest("a", "b"))
    watched.intake.reread()
    assert watched.intake.manifest_changed("1") is None
    assert watched.newest().number == 2


def test_content_that_was_there_before_is_taken_again(watched: Deployment) -> None:
    # A bucket without versioning knows a version by its content.
    texts = {"one": manifest("a"), "two": manifest("a", "b")}
    written = iter(range(100, 200))
    for name in ("two", "one", "two", "one"):
        watched.bucket.objects["live"] = (texts[name], name)
        at = next(written)
        watched.bucket.look = lambda *_, name=name, at=at: (name, float(at))  # type: ignore[method-assign]
        assert watched.intake.reread() is not None
    assert names(watched) == ["a"]


@pytest.mark.parametrize("text", [manifest("a", "b"), b"adapters: ["], ids=["good", "bad"])
@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.FAILED])
def test_manifest_that_was_turned_down_is_not_taken_again(
    watched: Deployment, outcome: Outcome, text: bytes
) -> None:
    watched.bucket.put("live", text)
    watched.intake.reread()
    watched.save(2, outcome=outcome)
    assert watched.intake.reread() is None
    assert watched.newest().number == 2


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.FAILED])
def test_manifest_that_was_turned_down_is_not_taken_after_a_rollback(
    watched: Deployment, outcome: Outcome
) -> None:
    one = update(watched, seconds=700)
    two = update(watched, seconds=800, old=one)
    watched.converge(3)
    watched.bucket.put("live", manifest("a", "broken"))
    watched.intake.reread()
    watched.save(4, outcome=outcome)
    watched.rolling_back = True
    back = watched.event("Update", old=two)
    watched.send({**back, "ResourceProperties": one})
    undo = watched.newest().number
    assert watched.intake.reread() is None
    assert watched.newest().number == undo


def test_fleet_that_is_being_deleted_takes_nothing(watched: Deployment) -> None:
    watched.intake.on_event(watched.event("Delete", ManifestObject=OBJECT))
    watched.bucket.put("live", manifest("a", "b"))
    assert watched.intake.reread() is None


def test_fleet_whose_manifest_came_with_the_deployment_looks_at_nothing() -> None:
    deployment = Deployment()
    deployment.intake.on_event(deployment.event("Create", Manifest=deployment.asset("one", "a")))
    assert deployment.intake.reread() is None
    assert deployment.bucket.looks == 0
