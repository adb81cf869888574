"""How passes share a fleet: which one runs, what it waits for, and how many calls it makes at once."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.fleet.state.archive_version import ArchiveVersion
from adapter_fleet.fleet.state.configuration import MAX_REQUESTS_AT_A_TIME, STALLED_SECONDS
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import Event
from adapter_fleet.fleet.state.rows.leased_table import Lease, LeaseLostError
from adapter_fleet.fleet.state.rows.row import UnreadableError
from adapter_fleet.manifest.desired import SmokeRequest
from tests.adapter_fleet.fake_service import RunningClock
from tests.adapter_fleet.fleet_world import World, adapter, artifact, deployed

REPAIR = FleetSettings(request_rate=10, drift=DriftAction.REPAIR)
MANY = [adapter(f"a{number:02}") for number in range(60)]


class TestDriftCheckRun:
    def under_way(self, **settings: Any) -> World:
        """A fleet whose first deployment is open, and a drift check that is due."""
        world = World(settings=replace(REPAIR, **settings))
        world.deploy(*MANY)
        world.run_newest(deadline=1.0)
        assert world.newest().outcome is Outcome.OPEN
        world.start_machine("drift")
        return world

    @pytest.mark.parametrize("mode", DriftAction)
    @pytest.mark.parametrize("since", [0.0, 3600.0], ids=["new", "long"])
    def test_drift_check_yields_to_an_execution_at_work(self, mode: DriftAction, since: float) -> None:
        world = self.under_way(drift=mode)
        world.clock.time += since
        world.run_pass(world.executions[0], deadline=1.0)
        asked: list[str] = []
        world.registry.acquire = lambda *_: asked.append("lease")  # type: ignore[method-assign]
        writes, calls = len(world.writes()), world.service.calls.copy()
        before = world.registry.fleet()
        world.run_newest(deadline=600.0)
        assert world.executions[-1].done
        assert asked == []
        assert world.registry.fleet() == before
        assert (len(world.writes()), world.service.calls) == (writes, calls)
        assert world.newest().outcome is Outcome.OPEN

    def test_drift_check_takes_over_a_stalled_generation(self) -> None:
        world = self.under_way()
        world.executions[0].done = True  # and no other execution goes on with it
        world.clock.time += STALLED_SECONDS + 60
        world.run_newest(deadline=600.0)
        world.settle()
        assert world.outcomes() == [Outcome.CONVERGED]
        assert len(world.serving()) == len(MANY)

    def test_reporting_drift_check_does_not_become_the_runner(self) -> None:
        world = deployed(*MANY, settings=replace(REPAIR, drift=DriftAction.REPORT))
        runner = world.fleet().runner
        world.trigger("drift")
        assert world.fleet().runner == runner

    def test_reporting_drift_check_leaves_a_deployment_alone_that_comes_before_its_lease(self) -> None:
        world = deployed(adapter("a"), settings=replace(REPAIR, drift=DriftAction.REPORT))
        acquire = world.registry.acquire

        def deploys_first(owner: str, now: float, seconds: float) -> Lease | None:
            world.registry.acquire = acquire  # type: ignore[method-assign]
            world.deploy(adapter("a", 2))
            return acquire(owner, now, seconds)

        world.registry.acquire = deploys_first  # type: ignore[method-assign]
        world.start_machine("drift")
        world.step()
        assert world.newest().outcome is Outcome.OPEN
        assert world.registry.records.all()["p-a"].drifted is None
        world.settle()
        assert world.serving()["a"] == artifact("a", 2).uri


@contextmanager
def threads(world: World) -> Iterator[None]:
    """Let the fleet make its calls in threads, as in its Lambda function."""
    with ThreadPoolExecutor(8) as executor:
        world.reconciler = replace(world.reconciler, executor=executor)
        yield


@pytest.mark.slow
class TestLease:
    def slow(self, world: World, *, wait: float) -> None:
        """Let the first look at an archive take 16 s: then too little of the lease is left for a write."""

        def take_long() -> None:
            world.clock.time += 16.0
            time.sleep(wait)  # for the thread of the pass, which renews the lease

        world.service.on("HeadObject", take_long, times=1)

    def test_slow_look_at_an_archive_costs_no_pass_as_the_lease_is_renewed_meanwhile(self) -> None:
        world = World()
        with threads(world):
            self.slow(world, wait=1.5)
            world.deploy(adapter("a"))
            world.step()
        assert world.log.troubles == []
        assert world.writes() == ["CreateInferenceComponent p-a"]

    def test_pass_that_ends_with_too_little_of_its_lease_gives_it_back(self) -> None:
        world = World()
        self.slow(world, wait=0.0)
        world.deploy(adapter("a"))
        world.step()
        assert "too soon for a write" in world.log.troubles[0]
        assert world.registry.acquire("another", world.clock.now(), 40.0) is not None


class UnderWay:
    """Makes the calls of one operation slow, and counts how many are under way."""

    def __init__(self, world: World, operation: str, *, seconds: float) -> None:
        self.operation, self.seconds = operation, seconds
        self.now = self.most = 0
        self._lock = threading.Lock()
        world.service.around = self.around

    def around(self, operation: str, when: str) -> None:
        if operation.startswith(self.operation) and when == "before":
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(self.seconds)
            with self._lock:
                self.now -= 1


@pytest.mark.slow
class TestCallsUnderWay:
    @pytest.fixture
    def world(self) -> Iterator[World]:
        world = World(clock=RunningClock(), seconds=0.05, settings=FleetSettings(request_rate=500))
        with threads(world):
            yield world

    @pytest.mark.parametrize("error", [None, RuntimeError, LeaseLostError, UnreadableError])
    def test_no_call_goes_on_after_the_pass_has_released_its_lease(
        self, world: World, error: type[Exception] | None
    ) -> None:
        """A pass ends by its deadline, or by an error."""
        slow = UnderWay(world, "CreateInferenceComponent", seconds=0.9)
        left: list[int] = []
        release = world.registry.release

        def released(lease: Lease) -> None:
            left.append(slow.now)
            release(lease)

        world.registry.release = released  # type: ignore[method-assign]
        if error is not None:
            find, raised = world.service.find_archive, error("it has a defect")

            def fail(uri: str) -> ArchiveVersion | None:
                if uri == artifact("a03").uri:
                    time.sleep(0.1)  # until the others have begun
                    return None
                return find(uri)

            def changed(event: Event) -> None:
                raise raised

            world.service.find_archive = fail  # type: ignore[method-assign]
            world.log.changed = changed  # type: ignore[method-assign]
        world.deploy(*MANY[:4])
        with pytest.raises(RuntimeError) if error is RuntimeError else nullcontext():
            # Without an error, the deadline lets a busy machine begin three calls before it.
            world.run_newest(deadline=0.7 if error is None else 600.0)
        assert slow.most >= 3
        assert left == [0]

    def test_smoke_requests_run_a_few_at_a_time(self, world: World) -> None:
        smoke = SmokeRequest(body={"inputs": "x"})
        world.deploy(*MANY[:8])
        world.run_newest(deadline=600.0)
        slow = UnderWay(world, "InvokeEndpoint", seconds=0.5)
        world.deploy(*(replace(want, smoke=smoke) for want in MANY[:8]))
        world.run_newest(deadline=600.0)
        assert world.newest().outcome is Outcome.CONVERGED
        assert world.service.calls["InvokeEndpoint"] == 8
        assert slow.most == MAX_REQUESTS_AT_A_TIME

    def test_probe_is_sent_while_no_other_request_is_under_way(self, world: World) -> None:
        """SageMaker picks the copy with the fewest requests: others would keep the probe from theirs."""
        world.service.copies = 3
        slow = UnderWay(world, "InvokeEndpoint", seconds=0.002)
        world.deploy(*(adapter(f"a{number}", probed=True) for number in range(2)))
        world.run_newest(deadline=600.0)
        assert world.newest().outcome is Outcome.CONVERGED
        assert slow.most == 1
        assert world.service.calls["InvokeEndpoint"] == 2 * 14

    def test_probe_under_way_stops_no_write_of_a_service_that_takes_one_at_a_time(self, world: World) -> None:
        world.service.faults.one_write_at_a_time = True
        written_meanwhile: list[bool] = []

        def wait_for_a_write() -> None:
            if not written_meanwhile:
                writes, ends = len(world.writes()), time.time() + 5.0
                while len(world.writes()) == writes and time.time() < ends:
                    time.sleep(0.01)
                written_meanwhile.append(len(world.writes()) > writes)

        world.service.on("InvokeEndpoint", wait_for_a_write)
        world.apply(*(adapter(f"a{number}", probed=True) for number in range(4)))
        assert written_meanwhile == [True]
        assert world.newest().outcome is Outcome.CONVERGED

    def test_intent_is_not_overwritten_while_its_write_is_under_way(self, world: World) -> None:
        without_intent = []

        def look(operation: str, when: str) -> None:
            name = operation.partition(" ")[2]
            if operation.startswith("Create") and when == "before":
                time.sleep(0.05)
                if world.registry.records.all()[name].intent is None:
                    without_intent.append(name)

        world.service.around = look
        world.deploy(*MANY)
        world.run_newest(deadline=600.0)
        assert len(world.writes()) == len(MANY)
        assert without_intent == []


def test_age_of_a_refused_manifest_grows_until_another_one_is_in_force() -> None:
    world = deployed(*MANY, settings=REPAIR)
    world.put_invalid_manifest()
    world.settle()
    world.clock.time += 3600
    world.trigger("drift")
    assert world.log.metrics[-1]["age"] > 3600
    world.apply_manifest(*MANY)
    assert world.log.metrics[-1]["age"] == 0


def test_pass_without_the_lease_does_nothing_and_retries_soon() -> None:
    world = World()
    world.deploy(*MANY)
    lease = world.registry.acquire("another pass", world.clock.now(), 40.0)
    assert lease is not None
    world.step()
    assert world.writes() == []
    assert world.results[-1].wait_seconds == 5
    world.registry.release(lease)
    world.settle()
    assert len(world.serving()) == len(MANY)
