"""A manifest in S3 whose event was lost is applied later; one that was rejected is not."""

from __future__ import annotations

import pytest

from adapter_fleet.fleet.state.generations import Outcome, Source
from tests.adapter_fleet.fleet.requests.deployment import OBJECT, Deployment, manifest


@pytest.fixture(autouse=True)
def in_force(watched: Deployment) -> None:
    """Let the first manifest in S3 be in force."""
    watched.converge(1)


def test_manifest_with_a_lost_event_is_applied(watched: Deployment) -> None:
    watched.bucket.put("live", manifest("a", "b"))
    made = watched.handler.reread()
    assert made is not None
    assert (made.request.source, made.exempt) == (Source.OBJECT, False)
    assert watched.names() == ["a", "b"]
    assert watched.started[-1][0] == "object"


def test_first_manifest_with_a_lost_event_is_applied() -> None:
    deployment = Deployment()
    deployment.handler.on_event(deployment.event("Create", ManifestObject=OBJECT))
    assert deployment.handler.reread() is None
    deployment.bucket.put("live", manifest("a"))
    assert deployment.handler.reread() is not None
    assert deployment.names() == ["a"]


def test_reread_of_a_known_manifest_is_one_call_and_no_generation(watched: Deployment) -> None:
    watched.bucket.read = None  # type: ignore[method-assign,assignment]
    assert watched.handler.reread() is None
    assert watched.newest().number == 1
    assert watched.bucket.looks == 1


def test_earlier_manifest_that_was_written_again_is_applied(watched: Deployment) -> None:
    # In a bucket without versioning, the content is the version.
    texts = {"one": manifest("a"), "two": manifest("a", "b")}
    for name in ("two", "one", "two", "one"):
        watched.bucket.objects["live"] = (texts[name], name)
        assert watched.handler.reread() is not None
    assert watched.names() == ["a"]


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
    one = watched.update_setting(700)
    two = watched.update_setting(800, old=one)
    watched.converge(3)
    watched.bucket.put("live", manifest("a", "broken"))
    watched.handler.reread()
    watched.save(4, outcome=outcome)
    watched.rolling_back = True
    watched.update(one, old=two)
    assert watched.newest().undo
    assert watched.handler.reread() is None
    assert watched.newest().number == 5
    assert watched.names() == ["a"]


def test_fleet_in_deletion_rereads_no_manifest(watched: Deployment) -> None:
    watched.handler.on_event(watched.event("Delete", ManifestObject=OBJECT))
    watched.bucket.put("live", manifest("a", "b"))
    assert watched.handler.reread() is None


def test_fleet_with_a_deployed_manifest_rereads_nothing() -> None:
    deployment = Deployment()
    deployment.create("a")
    assert deployment.handler.reread() is None
    assert deployment.bucket.looks == 0
