"""An error with one adapter is the failure of that adapter; the others converge."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from adapter_fleet.common.bounded_text import MAX_TEXT_BYTES, bounded, encoded_bytes
from adapter_fleet.common.serialization import unstructured
from adapter_fleet.fleet.planning import plan, releases
from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision, decide
from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.fleet_settings import (
    DeletionLimit,
    FailureLimit,
    FleetSettings,
    ReleaseSettings,
)
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import AdapterRecord, OrderKind
from adapter_fleet.fleet.state.rows.leased_table import Lease
from adapter_fleet.fleet.state.rows.record_rows import RecordTooLargeError
from adapter_fleet.fleet.state.sagemaker_port import ThrottledError, UnansweredError
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, SmokeRequest
from tests.adapter_fleet.fleet_world import World, adapter, artifact, deployed, released

LENIENT = FleetSettings(request_rate=10, failures=FailureLimit(count=5), deletions=DeletionLimit(share=1.0))
PORTS = (
    "CreateInferenceComponent p-bad",
    "UpdateInferenceComponent p-bad",
    "DescribeInferenceComponent p-bad",
    "InvokeEndpoint p-bad",
)
SMOKE = SmokeRequest(body={"inputs": "Hello"})


def world_of_three() -> World:
    return deployed(adapter("a"), adapter("bad", smoke=SMOKE), adapter("z"), settings=LENIENT)


def test_adapter_whose_record_is_too_large_fails_and_the_others_converge() -> None:
    """An earlier release took manifests whose records the registry cannot store."""
    world = world_of_three()
    put = world.registry.records.put

    def limited(records: Iterable[AdapterRecord], lease: Lease) -> None:
        records = list(records)
        put([record for record in records if record.component != "p-bad"], lease)
        if any(record.component == "p-bad" for record in records):
            raise RecordTooLargeError("the record of p-bad is too large", ["p-bad"])

    world.registry.records.put = limited  # type: ignore[method-assign]
    world.apply(adapter("a", 2), adapter("bad", 2), adapter("z", 2), adapter("new"), retries=False)
    assert world.log.failed_passes == []
    newest = world.newest()
    assert (newest.outcome, newest.failed) == (Outcome.CONVERGED, 1)
    assert "the record of p-bad is too large" in str(newest.reason)
    assert world.serving() == {
        "a": artifact("a", 2).uri,
        "bad": artifact("bad").uri,
        "new": artifact("new").uri,
        "z": artifact("z", 2).uri,
    }


class TestUnexpectedException:
    def world(self, operation: str, when: str) -> World:
        world = world_of_three()
        if operation.startswith("Create"):
            world.service.remove("p-bad")
        world.service.fail(operation, KeyError("a defect"), when=when)
        world.deploy(adapter("a", 2), adapter("bad", 2, smoke=SMOKE), adapter("z", 2), adapter("new"))
        return world

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("operation", PORTS)
    def test_others_converge(self, operation: str, when: str) -> None:
        world = self.world(operation, when)
        world.run_for(1200)
        assert world.log.failed_passes == []
        serving = world.serving()
        assert {name: serving.get(name) for name in ("a", "z", "new")} == {
            "a": artifact("a", 2).uri,
            "z": artifact("z", 2).uri,
            "new": artifact("new").uri,
        }

    @pytest.mark.parametrize("operation", PORTS)
    def test_exception_is_reported_with_its_type(self, operation: str) -> None:
        world = self.world(operation, "before")
        world.settle_without_retries()
        assert (world.newest().outcome, world.newest().failed) == (Outcome.CONVERGED, 1)
        assert "bad: " in str(world.newest().reason)
        assert "KeyError: 'a defect'" in str(world.newest().reason)
        assert {component for component, _ in world.log.unexpected_errors} == {"p-bad"}

    def test_exception_while_deciding_is_the_failure_of_that_component(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = world_of_three()

        def failing(record: AdapterRecord, want: DesiredAdapter | None, context: PlanContext) -> Decision:
            assert record.component != "p-bad"
            return decide(record, want, context)

        monkeypatch.setattr(plan, "decide", failing)
        world.apply(adapter("a", 2), adapter("bad", smoke=SMOKE), adapter("z"), retries=False)
        assert world.newest().outcome is Outcome.CONVERGED
        assert world.serving()["a"] == artifact("a", 2).uri
        assert "bad: AssertionError" in str(world.newest().reason)


class TestRowOfARoute:
    """One adapter's route is of no use; the other adapter is released, and callers of both get answers."""

    ROWS: ClassVar[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
        "no document": lambda _row: {"doc": "x"},
        "no version": lambda row: {**row, "doc": _changed(row, versions=[])},
        "of another adapter": lambda row: {**row, "doc": _changed(row, adapter="b")},
        "without a revision": lambda row: {**row, "revision": 0},
        "with half a revision": lambda row: {**row, "revision": 1.5},
    }

    def world(self, form: str) -> World:
        world = deployed(
            released("a"),
            released("b"),
            settings=replace(LENIENT, releases=ReleaseSettings(keep=1, drain_seconds=60.0)),
        )
        item = world.registry.items["routes"]["a"]
        row = {"doc": item["doc"]["S"], "revision": int(item["revision"]["N"])}
        world.registry.write("routes", "a", **self.ROWS[form](row))
        return world

    @pytest.mark.parametrize("form", ROWS)
    def test_it_is_left_as_it_is_and_its_adapter_fails_alone(self, form: str) -> None:
        world = self.world(form)
        before = world.registry.items["routes"]["a"]
        world.order(OrderKind.PIN, "a", artifact=released("a").artifact, replaces=released("a", 2).artifact)
        world.apply(released("a", 2), released("b", 2), retries=False)
        world.clock.time += 1000.0
        world.apply(released("a", 2), released("b", 2))
        assert world.log.failed_passes == []
        assert world.newest().outcome is Outcome.CONVERGED
        assert str(world.newest().reason).startswith("a: ")
        assert world.registry.items["routes"]["a"] == before
        assert world.registry.items["route#b"]["route"]["component"] == {"S": "p-b-22222222"}
        assert world.serving()["a-11111111"] == released("a").artifact.uri
        assert [order.kind for order in world.registry.orders.all()] == [OrderKind.PIN]

    @pytest.mark.parametrize("form", ROWS)
    def test_it_goes_with_an_adapter_that_is_not_wanted_any_more(self, form: str) -> None:
        world = self.world(form)
        world.apply(released("b", 2))
        assert set(world.registry.items["routes"]) == {"b"}
        assert not world.registry.items["route#a"]

    def test_exception_while_its_versions_are_found_is_the_failure_of_that_adapter(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = deployed(released("a"), released("b"), settings=replace(LENIENT, releases=ReleaseSettings()))
        found = releases.proven_artifact

        def failing(record: AdapterRecord | None) -> Artifact | None:
            assert record is None or record.name != "a"
            return found(record)

        world.registry.overwrite(replace(world.record("a-11111111"), component="p-a"))
        monkeypatch.setattr(releases, "proven_artifact", failing)
        world.apply(released("a", 2), released("b", 2), retries=False)
        assert world.newest().outcome is Outcome.CONVERGED
        assert "a: AssertionError" in str(world.newest().reason)
        assert world.serving()["b-22222222"] == released("b", 2).artifact.uri
        assert world.serving()["a-11111111"] == released("a").artifact.uri


def _changed(row: dict[str, Any], **fields: Any) -> str:
    return json.dumps({**json.loads(row["doc"]), **fields})


class TestFailedPasses:
    def world(self) -> World:
        world = World(settings=replace(LENIENT, timeout_seconds=600))
        world.deploy(adapter("a"))
        world.run_newest(deadline=0.5)
        world.service.fail("ListInferenceComponents", KeyError("a defect"))
        world.deploy(adapter("b"))
        return world

    def fail_passes(self, world: World, number: int) -> None:
        for _ in range(number):
            with pytest.raises(KeyError):
                world.run_newest(deadline=600)
            lease = world.registry.acquire("another", world.clock.now(), 1.0)
            assert lease is not None  # the failed pass has given its own back
            world.registry.release(lease)
            world.clock.time += 60

    def test_fleet_counts_failed_passes_until_one_succeeds(self) -> None:
        world = self.world()
        self.fail_passes(world, 3)
        assert world.log.failed_passes == [1, 2, 3]
        assert world.fleet().trouble == "a pass failed: KeyError: 'a defect'"
        world.service.around = lambda _operation, _when: None
        world.settle()
        assert world.fleet().failed_passes == 0
        assert world.newest().outcome is Outcome.CONVERGED

    def test_deployment_fails_with_the_reason_of_its_failed_passes(self) -> None:
        world = self.world()
        self.fail_passes(world, 11)
        with pytest.raises(FleetError, match="KeyError: 'a defect'"):
            world.response_to(world.newest())


@pytest.mark.parametrize("error", [UnansweredError("503"), ThrottledError("SlowDown")])
def test_others_converge_and_deletions_go_on_without_an_answer_from_s3(error: Exception) -> None:
    world = deployed(adapter("a"), adapter("gone"), settings=replace(LENIENT, failures=FailureLimit(count=1)))
    bad = adapter("bad")
    bad = replace(bad, artifact=replace(bad.artifact, digest="ab" * 32))
    world.service.fail(f"HeadObject {bad.artifact.uri}", error)
    world.apply(adapter("a", 2), bad, retries=False)
    assert world.newest().outcome is Outcome.CONVERGED
    assert world.serving() == {"a": artifact("a", 2).uri}
    assert "bad: S3 gave no answer" in str(world.newest().reason)
    # What S3 throttles does not slow down writes to SageMaker.
    assert world.fleet().rate == LENIENT.request_rate


def test_unknown_status_keeps_its_name_and_counts_as_in_transition() -> None:
    status = Status("Stopping")
    assert status == "Stopping"
    assert status.in_transition


class TestTexts:
    @pytest.mark.parametrize("text", ["a" * 9000, "ä" * 9000, "\U0001f600" * 9000, "\0" * 9000, '"\\' * 9000])
    def test_long_text_is_cut_by_its_encoded_bytes(self, text: str) -> None:
        cut = bounded(text)
        assert cut.endswith(" …")
        assert MAX_TEXT_BYTES - 20 < encoded_bytes(cut) <= MAX_TEXT_BYTES

    @pytest.mark.parametrize("text", ["", "short", "ä" * 600, "a" * MAX_TEXT_BYTES, "a?b"])
    def test_short_text_stays_but_for_lone_surrogates(self, text: str) -> None:
        assert bounded(text.replace("?", "\ud800")) == text

    def test_reason_of_any_length_keeps_records_below_an_item(self) -> None:
        world = World(settings=replace(LENIENT, failures=FailureLimit(share=1.0)))
        many = [adapter(f"b{number:02}") for number in range(20)]
        for one in many:
            world.service.faults.broken[one.artifact.uri] = "\U0001f600" * 25_000
        world.apply(*many)
        documents = [world.newest(), *world.registry.records.all().values()]
        assert max(len(json.dumps(unstructured(document))) for document in documents) < 40_000
