"""Deployments of new code alone, between deployments and rollbacks of manifests."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter_fleet.common.serialization import unstructured
from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, FailureLimit, ReleaseSettings
from adapter_fleet.fleet.state.generations import Generation, Outcome
from tests.adapter_fleet.fleet.requests.conftest import OBJECT, Deployment, manifest
from tests.adapter_fleet.fleet_world import World
from tests.nightly import stories


def with_code(properties: dict[str, Any], code: str) -> dict[str, Any]:
    return {**properties, "CodeDigest": code}


def digest_of_an_earlier_release(properties: dict[str, Any]) -> str:
    """Return what a release that knows no `CodeDigest` compares."""
    known = {key: value for key, value in properties.items() if key != "ServiceToken"}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("rolling_back", [False, None])
def test_two_deployments_of_code_alone_are_no_undo_and_start_a_pass_each(
    deployment: Deployment, rolling_back: bool | None
) -> None:
    one = deployment.create("a", CodeDigest="1")["ResourceProperties"]
    deployment.converge(1)
    deployment.rolling_back = rolling_back
    for number, (new, old) in enumerate((("2", "1"), ("3", "2"), ("2", "3"), ("3", "2")), start=2):
        deployment.update(with_code(one, new), old=with_code(one, old))
        made = deployment.newest()
        assert (made.number, made.undo, made.outcome) == (number, False, Outcome.OPEN)
        assert len(deployment.started) == number
        deployment.converge(number)


def test_deployment_of_code_after_an_undo_does_not_continue_the_undo(deployment: Deployment) -> None:
    one = deployment.create("a", CodeDigest="1")["ResourceProperties"]
    deployment.converge(1)
    two = {**one, "Manifest": deployment.asset("two", "b")}
    deployment.update(two, old=one)
    deployment.update(one, old=two)
    assert deployment.newest().undo
    deployment.update(with_code(one, "2"), old=one)
    assert not deployment.newest().undo


def test_rollback_of_a_manifest_is_an_undo_whatever_code_comes_and_goes(deployment: Deployment) -> None:
    one = deployment.create("a", CodeDigest="1")["ResourceProperties"]
    two = with_code({**one, "Manifest": deployment.asset("two", "b")}, "2")
    deployment.update(two, old=one)
    deployment.update(one, old=two)
    assert (deployment.newest().undo, deployment.names()) == (True, ["a"])
    deployment.update(two, old=one)
    deployment.update(with_code(two, "3"), old=two)
    deployment.update(one, old=with_code(two, "3"))
    assert not deployment.newest().undo, "a person goes back behind the deployment of code"


def test_release_without_code_digest_recognizes_the_deployment_that_it_takes_back(
    deployment: Deployment,
) -> None:
    old = deployment.create("a")["ResourceProperties"]
    new = with_code({**old, "Manifest": deployment.asset("two", "b")}, "1")
    deployment.update(new, old=old)
    made = deployment.newest().request
    assert made.source_digest == digest_of_an_earlier_release(new)
    assert made.previous_digest == digest_of_an_earlier_release(old)
    deployment.update(old, old=new)
    assert deployment.newest().undo, "and so does this one"


@pytest.mark.parametrize("before", [{}, {"CodeDigest": "1"}], ids=["first code", "later code"])
@pytest.mark.parametrize("lost", [{}, {"CodeDigest": "3"}], ids=["loses code", "loses an update"])
def test_rollback_of_an_update_whose_event_was_lost_is_an_undo(
    deployment: Deployment, before: dict[str, str], lost: dict[str, str]
) -> None:
    old = deployment.create("a", **before)["ResourceProperties"]
    deployment.converge(1)
    new = with_code({**old, "Manifest": deployment.asset("two", "b")}, "2")
    deployment.update(new, old=old)
    deployment.converge(2)
    deployment.rolling_back = True
    del deployment.bucket.objects["two"]  # it is in the registry
    for _ in range(2):
        deployment.update(new, old=deployment.properties(Manifest=deployment.asset("three", "c"), **lost))
        assert (deployment.newest().undo, deployment.names()) == (True, ["b"])


class TestManifestInS3:
    @pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.REFUSED])
    @pytest.mark.parametrize("undone", [True, False])
    def test_code_alone_keeps_the_manifest_in_force_and_takes_no_rejected_one(
        self, watched: Deployment, outcome: Outcome, undone: bool
    ) -> None:
        watched.converge(1)
        watched.put_manifest(manifest("a", "broken"))
        watched.save(2, outcome=outcome)
        if undone and outcome is Outcome.FAILED:
            watched.undo(2, to=1)
            watched.converge(3)
        one = watched.properties(ManifestObject=OBJECT, CodeDigest="1")
        for code in ("2", "3"):
            watched.update(with_code(one, code), old=one)
            watched.converge(watched.newest().number)
            assert watched.names() == ["a"]
            assert watched.handler.reread() is None, "nobody has written another one"
        again = watched.handler.manifest_changed("somebody has written it again")
        assert again is not None

    def test_code_alone_goes_on_with_a_manifest_under_way(self, watched: Deployment) -> None:
        watched.converge(1)
        watched.put_manifest(manifest("a", "b"))
        one = watched.properties(ManifestObject=OBJECT, CodeDigest="1")
        watched.update(with_code(one, "2"), old=one)
        assert watched.names() == ["a", "b"]
        assert watched.handler.reread() is None

    def test_code_alone_reads_the_manifest_where_the_stack_has_another_place(
        self, watched: Deployment
    ) -> None:
        watched.bucket.put("moved", manifest("b"))
        moved = watched.properties(ManifestObject={"Bucket": "manifests", "Key": "moved"}, CodeDigest="1")
        watched.update(with_code(moved, "2"), old=moved)
        assert watched.names() == ["b"]


class TestReleasesInTheFirstUpdate:
    """An update from a release whose functions may know no routes."""

    def upgrade(self, deployment: Deployment) -> tuple[dict[str, Any], dict[str, Any]]:
        old = deployment.create("a")["ResourceProperties"]
        deployment.converge(1)
        released = replace(deployment.settings, releases=ReleaseSettings())
        return old, {**with_code(old, "1"), "Settings": json.dumps(unstructured(released))}

    @pytest.mark.parametrize("rolling_back", [False, None])
    def test_update_is_refused_and_says_what_to_do(
        self, deployment: Deployment, rolling_back: bool | None
    ) -> None:
        old, new = self.upgrade(deployment)
        deployment.rolling_back = rolling_back
        with pytest.raises(FleetError, match="deploy once without 'releases', then with them"):
            deployment.update(new, old=old)
        assert deployment.newest().number == 1
        first = {**new, "Settings": old["Settings"]}
        deployment.update(first, old=old)
        deployment.update(new, old=first)
        assert deployment.newest().request.target.settings.releases is not None

    @pytest.mark.parametrize("rolling_back", [True, None])
    def test_refused_update_is_rolled_back(self, deployment: Deployment, rolling_back: bool | None) -> None:
        old, new = self.upgrade(deployment)
        with pytest.raises(FleetError):
            deployment.update(new, old=old)
        deployment.rolling_back = rolling_back
        deployment.update(old, old=new)
        assert (deployment.newest().outcome, deployment.names()) == (Outcome.OPEN, ["a"])

    def test_fleet_that_has_releases_is_updated(self, deployment: Deployment) -> None:
        old, new = self.upgrade(deployment)
        deployment.update(new, old={**old, "Settings": new["Settings"]})
        assert deployment.newest().number == 2

    @pytest.mark.parametrize("rolling_back", [True, None])
    def test_rollback_to_releases_is_not_refused(
        self, deployment: Deployment, rolling_back: bool | None
    ) -> None:
        old, new = self.upgrade(deployment)
        deployment.update(old, old=new)
        deployment.rolling_back = rolling_back
        deployment.update(new, old=old)
        assert deployment.newest().undo


# --- stories of a stack


MANIFESTS = (("a",), ("a", "b"), ("a", "b", "c", "d"), ("a", "broken"))


class Stack:
    """A fleet of a stack, which CloudFormation updates and rolls back, with its passes.

    stored:
        Whether the manifest is in S3.
    """

    def __init__(self, *, stored: bool) -> None:
        self.world = world = World(seconds=1.0)
        self.functions = functions = Deployment()
        functions.settings = replace(
            functions.settings,
            deletions=DeletionLimit(share=0.0, above=0),
            failures=FailureLimit(),  # also for a manifest in S3: a failed one is undone
            request_rate=10.0,
        )
        functions.registry, functions.clock = world.registry, world.clock
        functions.handler = replace(
            functions.handler,
            registry=world.registry,
            clock=world.clock,
            start_machine=lambda trigger, _key: world.start_machine(trigger),
        )
        for name in {name for names in MANIFESTS for name in names}:
            uri = f"s3://bucket/{name}/sha256-{'a' * 64}.tar.gz"
            world.service.identities[uri] = "a" * 64
            if name == "broken":
                world.service.faults.broken[uri] = "bad tensors"
        self.stored = stored
        functions.bucket.put("live", manifest(*MANIFESTS[0]))
        self.now = self.replaced = self.properties(0, "0")
        self.send({**functions.event("Create"), "ResourceProperties": self.now}, rolls_back=False)
        world.settle()

    def properties(self, number: int, code: str) -> dict[str, Any]:
        names = MANIFESTS[number]
        of_manifest = (
            # The manifest in S3 is not the stack's, but a tag is.
            {"ManifestObject": OBJECT, "Tags": {"number": str(number)}}
            if self.stored
            else {"Manifest": self.functions.asset(f"asset-{number}", *names)}
        )
        return self.functions.properties(CodeDigest=code, **of_manifest)

    def send(self, event: dict[str, Any], *, rolls_back: bool) -> tuple[Generation, bool]:
        """Send an event, twice; return its generation, and whether it has succeeded."""
        answered = self.functions.send(event)
        assert self.functions.handler.on_event(event)["Generation"] == answered["Generation"]
        made = self.world.generation(answered["Generation"])
        try:
            while not self.functions.complete(answered)["IsComplete"]:
                assert self.world.step(), "nothing goes on"
        except FleetError:
            assert not rolls_back, "CloudFormation cannot get the stack back"
            return made, False
        return made, True

    def deploy(
        self, new: dict[str, Any], *, known: bool, later_fails: bool
    ) -> tuple[Generation, Generation | None]:
        """Deploy other properties; return the generation, and that of its rollback."""
        before = self.now
        self.functions.rolling_back = False if known else None
        event = {**self.functions.event("Update", old=before), "ResourceProperties": new}
        made, succeeded = self.send(event, rolls_back=False)
        if succeeded and not later_fails:
            self.replaced, self.now = before, new
            return made, None
        self.functions.rolling_back = True if known else None
        event = {**self.functions.event("Update", old=new), "ResourceProperties": before}
        return made, self.send(event, rolls_back=True)[0]

    def store(self, number: int) -> None:
        self.functions.put_manifest(manifest(*MANIFESTS[number]), str(self.functions.requests))

    def converged(self) -> set[str]:
        """Return the adapters of the newest manifest that was not rejected."""
        desired = self.world.registry.generations.desired(self.world.fleet().converged)
        return {adapter.name for adapter in desired.adapters}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["manifest", "code", "code", "both", "store"]),
        st.integers(0, len(MANIFESTS) - 1),
        st.integers(0, 2),
        st.booleans(),
        st.booleans(),
    ),
    min_size=2,
    max_size=7,
)


@pytest.mark.timeout(7200)
@given(stored=st.booleans(), steps=STEPS)
@settings(max_examples=stories(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_code_alone_converges_and_is_no_undo_whatever_came_before(
    stored: bool, steps: list[tuple[str, int, int, bool, bool]]
) -> None:
    """Only what goes back is an undo, every rollback succeeds, and what serves is what was declared.

    Each step is a deployment of a manifest, code or both, or a manifest in S3 whose pass may be under way
    as the next step comes; whether the stack says that it rolls back; and whether a later resource fails.
    """
    stack, kept = Stack(stored=stored), {*MANIFESTS[0]}
    for kind, chosen, code, described, flag in steps:
        if kind == "store":
            if stored:
                stack.world.settle_without_retries()  # the manifest before is in force, or is not
                stack.store(chosen)
                names = {*MANIFESTS[chosen]}
                kept = names if kept <= names and "broken" not in names else kept
                if flag:
                    stack.world.settle_without_retries()
            continue
        before, passes = stack.now, len(stack.world.results)
        digest = before["CodeDigest"] if kind == "manifest" else str(code)
        new = with_code(before if kind == "code" else stack.properties(chosen, digest), digest)
        if new == before:
            continue  # CloudFormation sends nothing
        # Who goes back by hand, and where CloudFormation does not answer, is taken for a rollback.
        known = described or with_code(new, "") == with_code(stack.replaced, "")
        under_way = stack.world.newest().outcome is Outcome.OPEN
        made, back = stack.deploy(new, known=known, later_fails=flag)
        if kind == "code":
            assert (made.undo, made.request.code_alone) == (False, True)
            ended = stack.world.generation(made.number)
            assert under_way or ended.changes == 0
            failed = ended.outcome in (Outcome.FAILED, Outcome.REFUSED)
            assert back is None or back.undo is (known or failed)
        stack.world.settle()
        assert len(stack.world.results) > passes, "a pass has run"
        if not stored:
            kept = {*MANIFESTS[int(stack.now["Manifest"]["Key"][-1])]}
        assert set(stack.world.serving()) == kept
        assert stack.converged() == kept
