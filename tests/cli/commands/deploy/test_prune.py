import json

import pytest

from adapter_fleet.common.naming import FLEET_TAG
from adapters_cli.artifacts.temporary_component import TAG
from tests.adapter_fleet.fleet_world import UID, World, adapter
from tests.cli.fleet_account import Run, rows


class TestPrune:
    @pytest.fixture
    def orphans(self, world: World) -> list[str]:
        """Three components carry the fleet's tag, and no manifest wants them."""
        world.apply(adapter("acme"))
        names = [f"stray-{number}" for number in range(3)]
        for name in names:
            world.service.make(name, "s3://other/x.tar.gz", tags={FLEET_TAG: UID})
        world.trigger("order")
        return names

    def test_orphans_are_listed_and_no_failure_of_the_fleet(self, run: Run, orphans: list[str]) -> None:
        assert [row[0] for row in rows(run("prune"))] == orphans
        assert run("prune", "--yes").exit_code == 2
        status = run("status", "--wait")
        assert status.exit_code == 0
        assert " 1 adapter: 1 in service, 0 pending, 0 failed, 3 orphans\n" in status.stderr
        assert [row[:2] for row in rows(status)][1:] == [[name, "orphan"] for name in orphans]

    def test_orphan_is_deleted_by_name(self, run: Run, world: World, orphans: list[str]) -> None:
        listed = json.loads(run("prune", "--json").stdout)
        assert ([one["component"] for one in listed["orphans"]], listed["deleted"]) == (orphans, [])
        deleted = run("prune", "stray-1", "--yes", "--json")
        assert (deleted.exit_code, json.loads(deleted.stdout)["deleted"]) == (0, ["stray-1"])
        world.settle()
        assert set(world.service.components) == {"base", "p-acme", "stray-0", "stray-2"}

    def test_all_are_deleted_but_not_where_nobody_can_be_asked(
        self, run: Run, world: World, orphans: list[str]
    ) -> None:
        for names, words in (
            (["--all"], "--yes confirms"),
            (["p-acme", "stray-0"], "has no orphan 'p-acme'"),
        ):
            result = run("prune", *names)
            assert (result.exit_code, words in result.stderr) == (1, True)
        assert world.registry.orders.all() == []
        assert run("prune", "--all", "--yes").exit_code == 0
        world.settle()
        assert set(world.service.components) == {"base", "p-acme"}
        assert run("prune").stderr == "there are no orphans\n"

    def test_order_that_cannot_be_read_is_removed_by_its_key(
        self, run: Run, world: World, orphans: list[str]
    ) -> None:
        for key in ("x", "y"):
            world.registry.spoil("orders", key)
        result = run("prune", "x", "stray-1", "--yes")
        assert (result.exit_code, "1 order removed" in result.stderr) == (0, True)
        assert list(world.registry.orders.read()[1]) == ["y"]
        assert [order.component for order in world.registry.orders.all()] == ["stray-1"]
        # Without an orphan there is nothing to confirm.
        assert run("prune", "y").stdout == ""
        assert world.registry.orders.read()[1] == {}


class TestPreviews:
    """What `kill -9` of `adapters preview` left on an endpoint."""

    def test_they_are_listed_and_deleted_after_a_confirmation(self, run: Run, world: World) -> None:
        left = "preview-00000000-acme"
        world.service.uid = None  # a person's permissions, not those of the fleet's role
        world.service.add_base(base="other")
        world.service.make(left, "s3://my-adapters/x.tar.gz", tags={TAG: "2026-03-01T09:30:00Z"})
        world.clock.sleep(2 * 3600)
        assert rows(run("prune", "--endpoint", "endpoint", fleet=False)) == [[left, "2h"]]
        refused = run("prune", "--all", "--endpoint", "endpoint", fleet=False)
        assert (refused.exit_code, "--yes confirms" in refused.stderr) == (1, True)
        deleted = run("prune", "--all", "--yes", "--endpoint", "endpoint", "--json", fleet=False)
        assert json.loads(deleted.stdout)["deleted"] == [left]
        assert left not in world.service.serving()
        result = run("prune", "--endpoint", "endpoint", fleet=False)
        assert (result.exit_code, "has no preview" in result.stderr) == (0, True)
        nowhere = run("prune", "--endpoint", "nowhere", fleet=False)
        assert (nowhere.exit_code, "'nowhere'" in nowhere.stderr) == (4, True)
