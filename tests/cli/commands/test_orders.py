from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import Result

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.settings import FailureLimit, FleetSettings
from adapter_fleet.manifest.desired import Artifact
from tests.adapter_fleet.fleet_world import UID, World, adapter, artifact
from tests.cli.fleet_account import FakeAccount

Run = Callable[..., Result]
Write = Callable[..., Path]


def rows(result: Result) -> list[list[str]]:
    return [line.split("\t") for line in result.stdout.splitlines()]


class TestRetry:
    @pytest.fixture(autouse=True)
    def failed(self, world: World) -> None:
        """acme and zeta have failed, and would not any more."""
        world.with_settings(FleetSettings(failures=FailureLimit(count=2)))
        for name in ("acme", "zeta"):
            world.service.faults.broken[artifact(name).uri] = "no such tensor"
        world.deploy(adapter("acme"), adapter("beta"), adapter("zeta"))
        world.settle()
        world.service.faults.broken.clear()

    def test_named_adapter_is_tried_again(self, run: Run, world: World) -> None:
        result = run("retry", "acme")
        assert (result.exit_code, result.stdout) == (
            0,
            "1 adapter will be tried again; 'adapters status --wait' follows\n",
        )
        world.settle()
        assert world.serving().keys() == {"acme", "beta"}

    def test_adapter_that_has_not_failed_is_not_tried_again(
        self, run: Run, world: World, account: FakeAccount
    ) -> None:
        result = run("retry", "acme", "beta")
        assert (result.exit_code, result.stdout, result.stderr) == (
            1,
            "",
            "adapters: adapter 'beta' has not failed; it is in service\n",
        )
        assert (world.registry.orders(), account.started.inputs) == ([], [])

    def test_component_is_a_name_too(self, run: Run, world: World) -> None:
        run("retry", "p-acme")
        world.settle()
        assert "acme" in world.serving()

    def test_all_that_failed_are_tried_again(self, run: Run, world: World) -> None:
        assert run("retry", "--failed").stdout.startswith("2 adapters will be tried again")
        world.settle()
        assert world.serving().keys() == {"acme", "beta", "zeta"}

    def test_machine_is_started_with_an_order(self, run: Run, world: World, account: FakeAccount) -> None:
        now = world.clock.now()
        run("retry", "acme")
        assert account.started.inputs == [{"trigger": "order", "requested_at": now}]

    def test_nothing_that_failed_is_nothing_to_do(self, run: Run, world: World, account: FakeAccount) -> None:
        run("retry", "--failed")
        world.settle()
        result = run("retry", "--failed")
        assert (result.exit_code, result.stdout) == (0, "no adapter has failed\n")
        assert len(account.started.inputs) == 1

    def test_every_unknown_name_is_told_and_nothing_ordered(
        self, run: Run, world: World, account: FakeAccount
    ) -> None:
        result = run("retry", "acme", "nobody", "noone")
        assert (result.exit_code, result.stderr) == (
            1,
            "adapters: the fleet has no adapter 'nobody'\nadapters: the fleet has no adapter 'noone'\n",
        )
        assert world.registry.orders() == []

    @pytest.mark.parametrize("arguments", [[], ["acme", "--failed"]])
    def test_names_or_all_that_failed(self, run: Run, arguments: list[str]) -> None:
        assert run("retry", *arguments).exit_code == 2


class TestRetryOfWhatIsPending:
    @pytest.fixture(autouse=True)
    def stopped(self, world: World) -> None:
        """The deployment's execution has died with two adapters on their way."""
        world.deploy(adapter("acme"), adapter("beta"))
        world.run_newest(deadline=1.0)
        world.executions[-1].done = True
        world.clock.time += 7200

    def test_status_names_the_way_out(self, run: Run) -> None:
        assert run("status").stderr == (
            "adapters: the fleet has reported nothing for 1h; the executions of machine show why, and"
            " 'adapters retry' of a pending adapter starts a new one\n"
        )

    def test_fleet_goes_on_with_all_that_is_pending(self, run: Run, world: World) -> None:
        assert run("retry", "acme").exit_code == 0
        result = run("status", "--wait")
        assert (result.exit_code, set(world.serving())) == (0, {"acme", "beta"})

    def test_all_that_failed_are_none_of_them(self, run: Run, account: FakeAccount) -> None:
        result = run("retry", "--failed")
        assert (result.exit_code, result.stdout) == (0, "no adapter has failed; 2 pending\n")
        assert account.started.inputs == []


class TestRollback:
    @pytest.fixture(autouse=True)
    def updated(self, world: World) -> None:
        world.deploy(adapter("acme"), adapter("zeta"))
        world.settle()
        world.deploy(adapter("acme", 2), adapter("zeta"))
        world.settle()

    def test_version_before_serves_again(self, run: Run, world: World) -> None:
        result = run("rollback", "acme")
        assert (result.exit_code, result.stdout) == (
            0,
            "acme goes back to v1.tar.gz; 'adapters status --wait' follows\n",
        )
        world.settle()
        assert world.serving()["acme"] == artifact("acme", 1).uri

    def test_status_says_that_it_is_rolled_back(self, run: Run) -> None:
        run("rollback", "acme")
        result = run("status", "--wait")
        assert result.exit_code == 0
        fields = result.stdout.splitlines()[0].split("\t")
        assert (fields[2], fields[4]) == ("v1.tar.gz", "rolled back from v2.tar.gz")

    def test_next_version_of_the_manifest_ends_it(self, run: Run, world: World) -> None:
        run("rollback", "acme")
        world.settle()
        world.deploy(adapter("acme", 3), adapter("zeta"))
        world.settle()
        assert world.serving()["acme"] == artifact("acme", 3).uri

    def test_it_lasts_while_the_manifest_says_the_same(self, run: Run, world: World) -> None:
        run("rollback", "acme")
        world.settle()
        world.deploy(adapter("acme", 2))
        world.settle()
        assert world.serving()["acme"] == artifact("acme", 1).uri

    def test_undo_goes_back_to_the_manifest(self, run: Run, world: World) -> None:
        run("rollback", "acme")
        world.settle()
        assert run("rollback", "acme", "--undo").exit_code == 0
        world.settle()
        assert world.serving()["acme"] == artifact("acme", 2).uri
        assert world.registry.orders() == []

    def test_plan_knows_of_a_rollback_and_that_it_was_taken_back(
        self, run: Run, world: World, manifest: Write
    ) -> None:
        path = manifest(acme=2, zeta=1)
        assert run("plan", path).stdout == ""
        run("rollback", "acme")
        assert run("plan", path).stdout.split("\t")[:2] == ["acme", "update"]
        world.settle()
        assert run("plan", path).stdout == ""
        run("rollback", "acme", "--undo")
        assert run("plan", path).stdout.split("\t")[:3] == ["acme", "update", "v1.tar.gz"]

    def test_status_knows_that_it_was_taken_back(self, run: Run, world: World) -> None:
        run("rollback", "acme")
        world.settle()
        run("rollback", "acme", "--undo")
        fields = run("status").stdout.splitlines()[0].split("\t")
        assert (fields[:3], fields[4]) == (["acme", "updating", "v1.tar.gz"], "")

    def test_undo_takes_a_rollback(self, run: Run, world: World) -> None:
        result = run("rollback", "acme", "--undo")
        assert (result.exit_code, result.stderr) == (1, "adapters: adapter 'acme' is not rolled back\n")
        assert world.registry.orders() == []

    def test_next_rollback_waits_for_the_one_that_is_taken_back(self, run: Run, world: World) -> None:
        run("rollback", "acme")
        world.settle()
        run("rollback", "acme", "--undo")
        result = run("rollback", "acme")
        assert result.exit_code == 1
        assert "is being taken back" in result.stderr

    def test_second_rollback_is_refused(self, run: Run) -> None:
        run("rollback", "acme")
        result = run("rollback", "acme")
        assert result.exit_code == 1
        assert "--undo" in result.stderr

    def test_first_version_has_none_before_it(self, run: Run) -> None:
        result = run("rollback", "zeta")
        assert (result.exit_code, result.stderr) == (
            1,
            "adapters: no good version of adapter 'zeta' before v1.tar.gz is known\n",
        )

    def test_version_that_is_named_serves(self, run: Run, world: World) -> None:
        world.deploy(adapter("acme", 3), adapter("zeta"))
        world.settle()
        result = run("rollback", "acme", "--to", "v1.tar.gz")
        assert (result.exit_code, result.stdout) == (
            0,
            "acme goes back to v1.tar.gz; 'adapters status --wait' follows\n",
        )
        world.settle()
        assert world.serving()["acme"] == artifact("acme", 1).uri

    def test_another_version_may_be_named_while_it_is_rolled_back(self, run: Run, world: World) -> None:
        world.deploy(adapter("acme", 3), adapter("zeta"))
        world.settle()
        run("rollback", "acme")
        world.settle()
        assert world.serving()["acme"] == artifact("acme", 2).uri
        assert run("rollback", "acme", "--to", "v1.tar.gz").exit_code == 0
        world.settle()
        assert world.serving()["acme"] == artifact("acme", 1).uri
        again = run("rollback", "acme", "--to", "v1.tar.gz")
        assert (again.exit_code, again.stderr) == (
            1,
            "adapters: adapter 'acme' is rolled back to v1.tar.gz already\n",
        )

    def test_later_rollback_wins_over_one_by_a_clock_that_is_ahead(self, run: Run, world: World) -> None:
        world.deploy(adapter("acme", 3), adapter("zeta"))
        world.settle()
        world.clock.time += 3600
        run("rollback", "acme", "--to", "v1.tar.gz")
        world.clock.time -= 3600
        assert run("rollback", "acme", "--to", "v2.tar.gz").exit_code == 0
        world.settle()
        assert world.serving()["acme"] == artifact("acme", 2).uri

    def test_unknown_version_is_told_with_those_that_are_known(self, run: Run, world: World) -> None:
        result = run("rollback", "acme", "--to", "v7.tar.gz")
        assert (result.exit_code, result.stderr) == (
            1,
            "adapters: '--to' should be a version of adapter 'acme' that served before (v1.tar.gz), got"
            " 'v7.tar.gz'\n",
        )
        assert world.registry.orders() == []

    def test_version_of_the_manifest_is_no_rollback(self, run: Run) -> None:
        result = run("rollback", "acme", "--to", "v2.tar.gz")
        assert (result.exit_code, result.stderr) == (
            1,
            "adapters: version v2.tar.gz of adapter 'acme' is what the manifest says; see --undo\n",
        )

    def test_undo_names_no_version(self, run: Run) -> None:
        assert run("rollback", "acme", "--undo", "--to", "v1.tar.gz").exit_code == 2

    def test_unknown_adapter_is_told(self, run: Run) -> None:
        assert run("rollback", "nobody").stderr == "adapters: the fleet has no adapter 'nobody'\n"


class TestRollbackOfPublishedAdapters:
    @pytest.fixture(autouse=True)
    def moved(self, world: World) -> None:
        """The first version, the second one, and that again under another prefix."""
        for place, digest in (("a", "1a" * 32), ("a", "2b" * 32), ("b", "2b" * 32)):
            uri = f"s3://bucket/{place}/acme/sha256-{digest}.tar.gz"
            world.deploy(replace(adapter("acme"), artifact=Artifact(uri=uri, digest=digest)))
            world.settle()

    def test_it_goes_back_to_other_weights(self, run: Run, world: World) -> None:
        assert run("rollback", "acme").stdout.startswith("acme goes back to 1a1a1a1a1a1a; ")
        world.settle()
        assert world.serving()["acme"] == f"s3://bucket/a/acme/sha256-{'1a' * 32}.tar.gz"

    @pytest.mark.parametrize("version", ["1a1a", "1a1a1a1a1a1a", f"sha256:{'1A' * 32}"])
    def test_version_is_named_by_the_beginning_of_its_digest(self, run: Run, version: str) -> None:
        assert run("rollback", "acme", "--to", version).stdout.startswith("acme goes back to 1a1a1a1a1a1a; ")

    def test_beginning_that_two_digests_have_is_refused(self, run: Run, world: World) -> None:
        digest = "1a1a" + "0" * 60
        uri = f"s3://bucket/a/acme/sha256-{digest}.tar.gz"
        world.deploy(replace(adapter("acme"), artifact=Artifact(uri=uri, digest=digest)))
        world.settle()
        world.deploy(adapter("acme", 4))
        world.settle()
        result = run("rollback", "acme", "--to", "1a1a")
        assert (result.exit_code, result.stderr) == (
            1,
            f"adapters: '--to 1a1a' names several versions of adapter 'acme': {digest}, {'1a' * 32}\n",
        )


@pytest.mark.parametrize("command", [["retry", "--failed"], ["rollback", "acme"]])
def test_nothing_is_ordered_that_would_not_be_done(run: Run, world: World, command: list[str]) -> None:
    world.service.faults.broken[artifact("acme").uri] = "no such tensor"
    world.deploy(adapter("acme"))
    world.settle()
    result = run(*command)
    assert result.exit_code == 1
    assert "nothing is done before another deployment or manifest" in result.stderr
    assert world.registry.orders() == []


class TestPrune:
    """Three components carry the fleet's tag, and no manifest wants them."""

    @pytest.fixture
    def orphans(self, world: World) -> list[str]:
        world.deploy(adapter("acme"))
        world.settle()
        names = [f"stray-{number}" for number in range(3)]
        for name in names:
            world.service.make(name, "s3://other/x.tar.gz", tags={FLEET_TAG: UID})
        world.start_machine("order")
        world.settle()
        return names

    def test_orphans_are_listed(self, run: Run, orphans: list[str]) -> None:
        assert [row[0] for row in rows(run("prune"))] == orphans

    def test_orphan_is_deleted_by_name(self, run: Run, world: World, orphans: list[str]) -> None:
        assert run("prune", "stray-1", "--yes").exit_code == 0
        world.settle()
        assert set(world.service.components) == {"base", "p-acme", "stray-0", "stray-2"}

    def test_all_are_deleted(self, run: Run, world: World, orphans: list[str]) -> None:
        assert run("prune", "--all", "--yes").exit_code == 0
        world.settle()
        assert set(world.service.components) == {"base", "p-acme"}

    def test_nothing_is_deleted_where_nobody_can_be_asked(
        self, run: Run, world: World, orphans: list[str]
    ) -> None:
        result = run("prune", "--all")
        assert result.exit_code == 1
        assert "--yes confirms" in result.stderr
        assert world.registry.orders() == []

    def test_what_is_no_orphan_is_refused(self, run: Run, world: World, orphans: list[str]) -> None:
        result = run("prune", "p-acme", "stray-0", "--yes")
        assert result.exit_code == 1
        assert "has no orphan 'p-acme'" in result.stderr
        assert world.registry.orders() == []

    def test_status_shows_them_and_is_no_failure(self, run: Run, orphans: list[str]) -> None:
        result = run("status")
        assert result.exit_code == 0
        assert [row[:2] for row in rows(result)][-3:] == [[name, "orphan"] for name in orphans]
