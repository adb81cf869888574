from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import Result

from adapter_fleet.manifest.desired import Artifact
from tests.adapter_fleet.fleet_world import World, adapter, artifact

Run = Callable[..., Result]
Write = Callable[..., Path]


class TestRollback:
    @pytest.fixture(autouse=True)
    def updated(self, world: World) -> None:
        world.deploy(adapter("acme"), adapter("zeta"))
        world.settle()
        world.deploy(adapter("acme", 2), adapter("zeta"))
        world.settle()

    def test_version_before_serves_again(self, run: Run, world: World) -> None:
        result = run("rollback", "acme")
        assert result.exit_code == 0
        assert result.stdout == "acme goes back to v1.tar.gz; 'adapters status --wait' follows\n"
        status = run("status", "--wait")
        fields = status.stdout.splitlines()[0].split("\t")
        assert (status.exit_code, fields[2], fields[5]) == (0, "v1.tar.gz", "rolled back from v2.tar.gz")
        assert world.serving()["acme"] == artifact("acme", 1).uri

    def test_undo_goes_back_to_the_manifest(self, run: Run, world: World) -> None:
        document = json.loads(run("rollback", "acme", "--json").stdout)
        assert (document["name"], document["component"], document["undo"]) == ("acme", "p-acme", False)
        assert document["to"]["uri"] == artifact("acme", 1).uri
        world.settle()
        undone = json.loads(run("rollback", "acme", "--undo", "--json").stdout)
        assert (undone["undo"], undone["to"]["uri"]) == (True, artifact("acme", 2).uri)
        fields = run("status").stdout.splitlines()[0].split("\t")
        assert (fields[:3], fields[5]) == (["acme", "updating", "v1.tar.gz"], "")
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

    def test_undo_takes_a_rollback_and_no_version(self, run: Run, world: World) -> None:
        assert run("rollback", "acme", "--undo", "--to", "v1.tar.gz").exit_code == 2
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
        assert result.exit_code == 1
        assert result.stderr == "adapters: no good version of adapter 'zeta' before v1.tar.gz is known\n"

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
        assert again.exit_code == 1
        assert again.stderr == "adapters: adapter 'acme' is rolled back to v1.tar.gz already\n"

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

    @pytest.mark.parametrize("version", ["1a1a", "1a1a1a1a1a1a", f"sha256:{'1A' * 32}", "sha256-1a1a"])
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
