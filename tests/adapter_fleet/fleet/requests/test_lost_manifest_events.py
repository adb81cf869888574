"""A manifest in S3 whose event was lost is applied later; one that was rejected is not."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_fleet.fleet.state.generations import Outcome, Source
from tests.adapter_fleet.fleet.requests.deployment import Deployment, manifest

OBJECT = {"Bucket": "manifests", "Key": "live"}


@pytest.fixture
def watched() -> Deployment:
    """A fleet whose first manifest in S3 is in force."""
    deployment = Deployment()
    deployment.bucket.put("live", manifest("a"))
    deployment.handler.on_event(deployment.event("Create", ManifestObject=OBJECT))
    deployment.converge(1)
    return deployment


def names(deployment: Deployment) -> list[str]:
    number = deployment.newest().number
    return [adapter.name for adapter in deployment.registry.desired(number).adapters]


def update(watched: Deployment, *, seconds: int, old: dict[str, Any] | None = None) -> dict[str, Any]:
    """Deploy a setting; return the properties."""
    event = watched.event("Update", ManifestObject=OBJECT, old=old or {}, Timeout=str(seconds))
    watched.handler.on_event(event)
    properties: dict[str, Any] = event["ResourceProperties"]
    return properties


def test_manifest_with_a_lost_event_is_applied(watched: Deployment) -> None:
    watched.bucket.put("live", manifest("a", "b"))
    made = watched.handler.reread()
    assert made is not None
    assert (made.request.source, made.exempt) == (Source.OBJECT, False)
    assert names(watched) == ["a", "b"]
    assert watched.started[-1][0] == "object"


def test_first_manifest_with_a_lost_event_is_applied() -> None:
    deployment = Deployment()
    deployment.handler.on_event(deployment.event("Create", ManifestObject=OBJECT))
    assert deployment.handler.reread() is None
    deployment.bucket.put("live", manifest("a"))
    assert deployment.handler.reread() is not None
    assert names(deployment) == ["a"]


def test_reread_of_a_known_manifest_is_one_call_and_no_generation(watched: Deployment) -> None:
    watched.bucket.read = None  # type: ignore[method-assign,assignment]
    assert watched.handler.reread() is None
    assert watched.newest().number == 1
    assert watched.bucket.looks == 1


def test_event_after_the_reread_makes_no_generation(watched: Deployment) -> None:
    watched.bucket.put("live", manifest("a", "b"))
    watched.handler.reread()
    assert watched.handler.manifest_changed("1") is None
    assert watched.newest().number == 2


def test_earlier_manifest_that_was_written_again_is_applied(watched: Deployment) -> None:
    # In a bucket without versioning, the content is the version.
    texts = {"one": manifest("a"), "two": manifest("a", "b")}
    for name in ("two", "one", "two", "one"):
        watched.bucket.objects["live"] = (texts[name], name)
        assert watched.handler.reread() is not None
    assert names(watched) == ["a"]


@pytest.mark.parametrize("text", [manifest("a", "b"), b"adapters: ["], ids=["good", "bad"])
@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.FAILED])
def test_rejected_manifest_is_not_applied_again(watched: Deployment, outcome: Outcome, text: bytes) -> None:
    watched.bucket.put("live", text)
    watched.handler.reread()
    watched.save(2, outcome=outcome)
    assert watched.handler.reread() is None
    assert watched.newest().number == 2


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.FAILED])
def test_rejected_manifest_is_not_applied_after_a_rollback(watched: Deployment, outcome: Outcome) -> None:
    one = update(watched, seconds=700)
    two = update(watched, seconds=800, old=one)
    watched.converge(3)
    watched.bucket.put("live", manifest("a", "broken"))
    watched.handler.reread()
    watched.save(4, outcome=outcome)
    watched.rolling_back = True
    back = watched.event("Update", old=two)
    watched.send({**back, "ResourceProperties": one})
    undo = watched.newest().number
    assert watched.handler.reread() is None
    assert watched.newest().number == undo


def test_fleet_in_deletion_rereads_no_manifest(watched: Deployment) -> None:
    watched.handler.on_event(watched.event("Delete", ManifestObject=OBJECT))
    watched.bucket.put("live", manifest("a", "b"))
    assert watched.handler.reread() is None


def test_fleet_with_a_deployed_manifest_rereads_nothing() -> None:
    deployment = Deployment()
    deployment.handler.on_event(deployment.event("Create", Manifest=deployment.asset("one", "a")))
    assert deployment.handler.reread() is None
    assert deployment.bucket.looks == 0
