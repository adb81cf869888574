"""An archive is verified by S3's own checksum, or by a reading, before SageMaker loads it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from adapter_fleet.fleet.state.archive_version import ArchiveVersion
from adapter_fleet.fleet.state.configuration import MAX_READ_SECONDS
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.sagemaker_port import RefusedError
from adapter_fleet.manifest.desired import Artifact
from tests.adapter_fleet.fleet_world import World, adapter, released

CHECKSUM = f"sha256:{'5' * 64}"


@pytest.fixture
def world() -> World:
    return World(settings=FleetSettings(failures=FailureLimit(count=100), request_rate=10.0))


def put(
    world: World,
    artifact: Artifact,
    *,
    holds: str | None = None,
    checksum: str | None = None,
    version: str | None = None,
) -> ArchiveVersion:
    """Write an archive to S3 that holds the recorded adapter, or another one."""
    found = ArchiveVersion(
        uri=artifact.uri,
        etag=f"etag of {holds or artifact.digest}",
        size=100,
        modified=world.clock.now(),
        version=version,
        checksum=checksum,
    )
    world.service.archives[artifact.uri] = found
    world.service.identities[found.etag] = holds or artifact.digest or ""
    return found


def test_refusal_that_is_none_of_access_is_told_as_it_is(world: World) -> None:
    """CopyObject takes 5 GB at most."""
    want = released("a")
    put(world, want.artifact)
    words = "InvalidRequest: The specified copy source is larger than 5368709120 bytes"
    world.service.fail("HeadObject", RefusedError(words))
    world.deploy(want)
    world.run_for(60)
    reason = world.failure("a").reason
    assert "larger than 5368709120 bytes" in reason
    assert "AccessDenied" not in reason


def reads(world: World) -> int:
    return world.service.calls["GetObject"]


def after(world: World, operation: str, act: Callable[[], object]) -> None:
    """Act once, right after a call of the service."""
    world.service.on(operation, act, when="after", times=1)


class TestBeforeTheWrite:
    @pytest.mark.parametrize("stored", [None, CHECKSUM, f"{CHECKSUM}-3", f"sha256:{'6' * 64}"])
    @pytest.mark.parametrize("recorded", [None, CHECKSUM, f"{CHECKSUM}-3"])
    def test_archive_is_read_unless_it_has_the_checksum_that_is_recorded(
        self, world: World, stored: str | None, recorded: str | None
    ) -> None:
        want = released("a")
        want = replace(want, artifact=replace(want.artifact, checksum=recorded))
        put(world, want.artifact, checksum=stored)
        world.apply(want)
        assert world.serving() == {"a": want.artifact.uri}
        assert reads(world) == (0 if recorded is not None and recorded == stored else 1)

    def test_archive_of_another_adapter_is_a_failure(self, world: World) -> None:
        bad, good = released("bad"), released("good")
        put(world, bad.artifact, holds="f" * 64)
        put(world, good.artifact)
        world.apply(bad, good, retries=False)
        assert world.serving() == {"good": good.artifact.uri}
        failure = world.failure("bad")
        assert failure.final
        assert str(bad.artifact.digest) in failure.reason
        assert "f" * 64 in failure.reason

    def test_each_version_is_read_once(self, world: World) -> None:
        want = released("a")
        put(world, want.artifact, holds="f" * 64)
        for _ in range(3):
            world.apply(want)
        assert world.record("a").failure is not None
        assert reads(world) == 1
        put(world, want.artifact)
        world.apply(want)
        assert reads(world) == 2
        assert world.serving() == {"a": want.artifact.uri}
        assert world.record("a").failure is None

    def test_unreadable_archive_is_a_failure_that_names_the_missing_permissions(self, world: World) -> None:
        want = released("a")
        world.service.faults.unreadable.add(want.artifact.uri)
        world.apply(want, retries=False)
        assert world.serving() == {}
        failure = world.failure("a")
        assert failure.cause is Cause.ACCESS
        assert "s3:GetObject" in failure.reason
        world.service.faults.unreadable.clear()
        put(world, want.artifact)
        world.settle()
        assert world.serving() == {"a": want.artifact.uri}

    def test_artifact_without_a_digest_is_not_verified(self, world: World) -> None:
        want = adapter("a")
        world.service.faults.unreadable.add(want.artifact.uri)
        world.apply(want)
        assert world.serving() == {"a": want.artifact.uri}
        assert reads(world) == 0


class TestReading:
    @pytest.mark.slow
    def test_fleet_converges_over_many_passes_that_read_archives(self, world: World) -> None:
        world.service.read_seconds = 3.0
        many = [released(f"a{number:03}") for number in range(100)]
        for want in many:
            put(world, want.artifact)
        world.deploy(*many)
        while not world.executions[-1].done:
            world.run_newest(deadline=30.0)
        assert world.newest().outcome is Outcome.CONVERGED
        assert len(world.serving()) == 100
        # A pass may run out of time during a reading.
        assert reads(world) <= 100 + world.newest().passes

    def test_archive_that_cannot_be_read_in_time_is_the_failure_of_its_adapter(self, world: World) -> None:
        world.service.read_seconds = MAX_READ_SECONDS + 1
        want = released("a")
        put(world, want.artifact)
        world.deploy(want)
        world.start_machine("deployment")
        world.run_pass(world.executions[-1], deadline=10_000.0)
        assert "adapters publish" in world.failure("a").reason


class TestAfterTheWrite:
    def test_archive_replaced_during_the_write_is_the_failure_of_its_adapter(self, world: World) -> None:
        first, second = released("a"), released("a", 2)
        put(world, first.artifact)
        put(world, second.artifact, version="v1")
        world.apply(first)
        after(
            world,
            "UpdateInferenceComponent",
            lambda: put(world, second.artifact, holds="f" * 64, version="v2"),
        )
        world.apply(second)
        failure = world.failure("a")
        assert failure.artifact == second.artifact
        assert "version v1 is version v2 now" in failure.reason
        assert world.serving() == {"a": first.artifact.uri}

    def test_archive_that_cannot_be_compared_is_compared_later(self, world: World) -> None:
        want = released("a")
        put(world, want.artifact)
        refused = world.service.faults.unreadable
        after(world, "CreateInferenceComponent", lambda: refused.add(want.artifact.uri))
        world.apply(want, retries=False)
        assert world.record("a").failure is not None
        refused.clear()
        world.settle()
        record = world.record("a")
        assert (record.failure, record.unconfirmed) == (None, None)
        assert world.writes() == ["CreateInferenceComponent p-a"]
