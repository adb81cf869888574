import json
from dataclasses import replace
from pathlib import Path

import pytest

from adapter_fleet.fleet.state.fleet_settings import FailureLimit, ReleaseSettings
from adapter_fleet.manifest.desired import Artifact
from adapters_cli.fleets.adapter_lookup import AdapterLookup
from adapters_cli.fleets.fleet_lookup import find_fleet, newest_generation
from adapters_cli.output.errors import CommandError
from tests.adapter_fleet.fleet_world import World, adapter, artifact, released
from tests.cli.fleet_account import FakeAccount, Run, Write, rows


def refusal(run: Run, *arguments: str) -> str:
    """Return why a rollback is refused."""
    result = run("rollback", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    return str(result.stderr).removeprefix("adapters: ").removesuffix("\n")


class TestRollback:
    @pytest.fixture(autouse=True)
    def updated(self, world: World) -> None:
        for version in (1, 2):
            world.apply(adapter("acme", version), adapter("zeta"))

    def test_version_before_serves_again(self, run: Run, world: World) -> None:
        result = run("rollback", "acme")
        assert result.exit_code == 0
        assert result.stdout == "acme goes back to v1.tar.gz; 'adapters status --wait' follows\n"
        status = run("status", "--wait")
        fields = status.stdout.splitlines()[0].split("\t")
        assert (status.exit_code, fields[2], fields[-1]) == (0, "v1.tar.gz", "rolled back from v2.tar.gz")
        assert world.serving()["acme"] == artifact("acme", 1).uri
        world.service.remove("p-acme")
        assert run("apply", "--retry", "acme").exit_code == 0, "as 'status' says"
        assert run("status", "--wait").exit_code == 0
        assert world.serving()["acme"] == artifact("acme", 1).uri

    def test_undo_goes_back_to_the_manifest(self, run: Run, world: World) -> None:
        document = json.loads(run("rollback", "acme", "--json").stdout)
        assert (document["name"], document["component"], document["undo"]) == ("acme", "p-acme", False)
        assert document["to"]["uri"] == artifact("acme", 1).uri
        world.settle()
        undone = json.loads(run("rollback", "acme", "--undo", "--json").stdout)
        assert (undone["undo"], undone["to"]["uri"]) == (True, artifact("acme", 2).uri)
        fields = run("status").stdout.splitlines()[0].split("\t")
        assert (fields[:3], fields[-1]) == (["acme", "updating", "v1.tar.gz"], "")
        world.settle()
        assert world.serving()["acme"] == artifact("acme", 2).uri
        assert world.registry.orders.all() == []

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

    def test_second_rollback_is_refused_and_the_next_one_waits_until_it_is_taken_back(
        self, run: Run, world: World
    ) -> None:
        run("rollback", "acme")
        assert "--undo" in refusal(run, "acme")
        world.settle()
        run("rollback", "acme", "--undo")
        assert "is being taken back" in refusal(run, "acme")

    def test_what_cannot_be_gone_back_to_is_told_with_the_versions_that_are_known(
        self, run: Run, world: World
    ) -> None:
        assert run("rollback", "acme", "--undo", "--to", "v1.tar.gz").exit_code == 2
        assert refusal(run, "acme", "--undo") == "adapter 'acme' is not rolled back"
        assert refusal(run, "zeta") == "no good version of adapter 'zeta' before v1.tar.gz is known"
        assert refusal(run, "acme", "--to", "v7.tar.gz") == (
            "'--to' should be a version of adapter 'acme' that served before (v1.tar.gz), got 'v7.tar.gz'"
        )
        assert refusal(run, "acme", "--to", "v2.tar.gz") == (
            "version v2.tar.gz of adapter 'acme' is what the manifest says; see --undo"
        )
        assert world.registry.orders.all() == []

    def test_another_version_may_be_named_while_it_is_rolled_back(self, run: Run, world: World) -> None:
        world.apply(adapter("acme", 3), adapter("zeta"))
        run("rollback", "acme")
        world.settle()
        assert world.serving()["acme"] == artifact("acme", 2).uri
        assert run("rollback", "acme", "--to", "v1.tar.gz").exit_code == 0
        world.settle()
        assert world.serving()["acme"] == artifact("acme", 1).uri
        again = refusal(run, "acme", "--to", "v1.tar.gz")
        assert again == "adapter 'acme' is rolled back to v1.tar.gz already"


class TestRollbackOfPublishedAdapters:
    @pytest.fixture(autouse=True)
    def moved(self, world: World) -> None:
        """The first version, the second one, and that again under another prefix."""
        for place, digest in (("a", "1a" * 32), ("a", "2b" * 32), ("b", "2b" * 32)):
            uri = f"s3://bucket/{place}/acme/sha256-{digest}.tar.gz"
            world.apply(replace(adapter("acme"), artifact=Artifact(uri=uri, digest=digest)))

    def test_it_goes_back_to_other_weights(self, run: Run, world: World) -> None:
        assert run("rollback", "acme").stdout.startswith("acme goes back to 1a1a1a1a1a1a; ")
        world.settle()
        assert world.serving()["acme"] == f"s3://bucket/a/acme/sha256-{'1a' * 32}.tar.gz"

    @pytest.mark.parametrize("version", ["1a1a", f"sha256:{'1A' * 32}", "sha256-1a1a"])
    def test_version_is_named_by_the_beginning_of_its_digest(self, run: Run, version: str) -> None:
        assert run("rollback", "acme", "--to", version).stdout.startswith("acme goes back to 1a1a1a1a1a1a; ")

    def test_beginning_that_two_digests_have_is_refused(self, run: Run, world: World) -> None:
        digest = "1a1a" + "0" * 60
        uri = f"s3://bucket/a/acme/sha256-{digest}.tar.gz"
        world.apply(replace(adapter("acme"), artifact=Artifact(uri=uri, digest=digest)))
        world.apply(adapter("acme", 4))
        assert refusal(run, "acme", "--to", "1a1a") == (
            f"'--to 1a1a' names several versions of adapter 'acme': {digest}, {'1a' * 32}"
        )


@pytest.mark.parametrize("command", [["apply", "--retry"], ["rollback", "acme"]])
def test_nothing_is_ordered_that_would_not_be_done(run: Run, world: World, command: list[str]) -> None:
    world.service.faults.broken[artifact("acme").uri] = "no such tensor"
    world.apply(adapter("acme"))
    result = run(*command)
    assert result.exit_code == 1
    assert "nothing is done before another deployment or manifest" in result.stderr
    assert world.registry.orders.all() == []


class TestRollbackOfReleases:
    """Each version is a component of its own: a rollback writes the route, and loads nothing."""

    @pytest.fixture(autouse=True)
    def released(self, world: World) -> None:
        world.with_settings(replace(world.settings, releases=ReleaseSettings(keep=1)))
        for version in (1, 2, 3):
            world.deploy(released("acme", version))
            world.settle_without_retries()

    def test_callers_go_back_at_once(self, run: Run, world: World) -> None:
        record = world.registry.records.all()["p-acme-22222222"]
        world.registry.overwrite(replace(record, vouched=0.0))  # its last-modified time moved by itself
        writes = len(world.writes())
        document = json.loads(run("rollback", "acme", "--json").stdout)
        assert (document["at_once"], document["component"]) == (True, "p-acme-22222222")
        assert document["to"]["digest"] == f"sha256:{'2' * 64}"
        assert world.registry.routes.read().routes["acme"].live.component == "p-acme-22222222"
        world.settle()
        assert [write for write in world.writes()[writes:] if not write.startswith("Delete")] == []
        assert "222222222222 answers instead of 333333333333" in run("history", "acme").stdout
        [row] = rows(run("status"))
        assert row[-1] == "rolled back from 333333333333"
        world.service.remove("p-acme-22222222")
        assert run("apply", "--retry", "acme").exit_code == 0
        world.settle()
        assert world.registry.routes.read().routes["acme"].live.component == "p-acme-22222222"
        assert world.serving()["acme-22222222"] == artifact("acme", 2).uri

    def test_version_that_is_gone_is_loaded_again(self, run: Run, world: World) -> None:
        world.settle()
        assert "p-acme-11111111" not in world.service.components
        document = json.loads(run("rollback", "acme", "--to", "1111", "--json").stdout)
        assert document["at_once"] is False
        world.settle()
        assert world.registry.routes.read().routes["acme"].live.component == "p-acme-11111111"
        assert [row[1] for row in rows(run("history", "acme"))].count("created") == 4

    def test_callers_are_not_sent_to_a_version_that_is_not_what_it_was(self, run: Run, world: World) -> None:
        world.service.edit("p-acme-22222222", "s3://bucket/by-hand")
        assert json.loads(run("rollback", "acme", "--json").stdout)["at_once"] is False
        assert world.registry.routes.read().routes["acme"].live.component == "p-acme-33333333"
        world.settle()
        assert world.registry.routes.read().routes["acme"].live.component == "p-acme-22222222", (
            "it is restored first"
        )

    def test_version_that_fails_is_shown_and_tried_again_beside_the_one_that_answers(
        self, run: Run, world: World
    ) -> None:
        world.with_settings(replace(world.target.settings, failures=FailureLimit(share=1.0)))
        world.service.faults.broken[artifact("acme", 4).uri] = "bad tensors"
        world.apply(released("acme", 4))
        (row,) = json.loads(run("status", "acme", "--json").stdout)["adapters"]
        assert (row["component"], row["state"]) == ("p-acme-44444444", "failed")
        assert row["reason"] == "333333333333 answers meanwhile; bad tensors"
        events = json.loads(run("history", "acme@4444", "--json").stdout)["events"]
        assert {event["what"] for event in events} == {"failed", "deleted"}
        world.service.faults.broken.clear()
        assert run("apply", "--retry", "acme").exit_code == 0
        world.settle()
        assert world.registry.routes.read().routes["acme"].live.component == "p-acme-44444444"
        assert run("apply", "--retry", "acme@3333").stdout.startswith("1 adapter will be tried again")

    def test_route_that_cannot_be_read_stops_no_command_on_another_adapter(
        self, run: Run, world: World
    ) -> None:
        world.apply(released("acme", 3), released("zeta", 3))
        why = world.registry.spoil("routes", "zeta")
        commands = (["history"], ["promote"], ["apply", "--retry"], ["rollback"])
        assert [run(*command, "acme").exit_code for command in commands] == [0, 1, 0, 0]
        assert {run(*command, "zeta").stderr for command in commands} == {f"adapters: {why}\n"}

    def test_plan_says_which_version_a_release_follows(self, run: Run, tmp_path: Path) -> None:
        entry = {"name": "acme", "artifact": artifact("acme", 4).uri, "digest": f"sha256:{'4' * 64}"}
        (tmp_path / "next.json").write_text(json.dumps({"adapters": [{**entry, "percent": 5}]}))
        row = run("plan", tmp_path / "next.json").stdout.strip().split("\t")
        assert row == ["acme", "create", "333333333333", "444444444444", "for 5 % of the callers"]

    def test_version_is_named_behind_the_adapter(self, world: World, account: FakeAccount) -> None:
        account.stack = "Tenants"
        fleet = find_fleet(account)
        lookup = AdapterLookup(fleet, newest_generation(fleet))
        assert lookup.find(["acme", "acme@2222"]) == {
            "p-acme-33333333": "acme",
            "p-acme-22222222": "acme@222222222222",
        }
        with pytest.raises(CommandError, match="adapter 'acme' has no version '9999'; it has 3"):
            lookup.find(["acme@9999"])
        # Routes stay where releases are switched off.
        world.with_settings(replace(world.settings, releases=None))
        world.deploy(released("acme", 3))
        lookup = AdapterLookup(fleet, newest_generation(fleet))
        assert lookup.find(["acme"]) == {"p-acme-33333333": "acme"}

    def test_version_that_has_no_component_any_more_says_what_helps(self, run: Run, world: World) -> None:
        world.clock.time += 2000.0
        world.drift()  # the first version is drained
        result = run("status", "acme@1111")
        why = "no component has version 111111111111 of adapter 'acme'; 'adapters rollback acme --to"
        assert (result.exit_code, why in result.stderr) == (1, True)
        world.apply(replace(released("acme", 4), percent=5))
        run("rollback", "acme")
        world.clock.time += 2000.0
        world.drift()
        result = run("status", "acme@new")
        assert (result.exit_code, "'adapters status acme' says why" in result.stderr) == (1, True)

    def test_names_of_one_component_are_shown_for_what_they_mean(self, run: Run, world: World) -> None:
        world.apply(replace(released("acme", 4), percent=5))
        for names in (["acme", "acme@before"], ["acme@before", "acme"]):
            shown = [row[2] for row in rows(run("status", *names))]
            assert sorted(shown) == ["333333333333", "444444444444"]
