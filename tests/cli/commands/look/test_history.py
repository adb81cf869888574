import json
from dataclasses import replace
from datetime import datetime

import pytest

from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings, ReleaseSettings
from adapter_fleet.fleet.state.records import OrderKind
from adapter_fleet.manifest.desired import Artifact
from tests.adapter_fleet.fleet_world import World, adapter, artifact, released
from tests.cli.fleet_account import FakeAccount, Run, rows


@pytest.fixture(autouse=True)
def lived(world: World) -> None:
    for version in (1, 2):
        world.apply(adapter("acme", version), adapter("zeta"))


def test_newest_event_comes_first(run: Run) -> None:
    result = run("history", "acme")
    fields = [line.split("\t") for line in result.stdout.splitlines()]
    assert [field[1:5] for field in fields] == [
        ["updated", "2", "v1.tar.gz", "v2.tar.gz"],
        ["created", "1", "-", "v1.tar.gz"],
    ]
    assert result.stderr == "acme can serve v1.tar.gz: 'adapters rollback acme --to v1.tar.gz'\n"
    assert fields[0][0].startswith("1970-01-12T")
    assert [field[6] for field in fields] == ["", ""]


@pytest.mark.parametrize("name", ["zeta", "p-zeta"])
def test_adapter_that_is_gone_still_has_one(run: Run, world: World, name: str) -> None:
    world.apply(adapter("acme", 2))
    assert run("history", name).stdout.splitlines()[0].split("\t")[1] == "deleted"


def test_unknown_adapter_and_one_that_is_yet_to_come_have_none(run: Run, world: World) -> None:
    world.deploy(adapter("acme", 2), adapter("zeta"), adapter("new"))
    result = run("history", "new")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "adapter 'new' has no events so far\n")
    for options in ([], ["--json"]):
        result = run("history", "nobody", *options)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "adapters: nothing is known of an adapter 'nobody'\n"


def test_json_has_whole_digests_addresses_and_times(run: Run, world: World) -> None:
    published = Artifact(uri="s3://bucket/acme/sha256-ab.tar.gz", digest="ab" * 32)
    world.apply(replace(adapter("acme"), artifact=published), adapter("zeta"))
    event = json.loads(run("history", "acme", "--json").stdout)["events"][0]
    after = {"version": "abababababab", "digest": f"sha256:{'ab' * 32}", "uri": published.uri}
    assert event["after_artifact"] == after
    assert (event["what"], event["after"]) == ("updated", "abababababab")
    assert event["before_artifact"]["uri"] == artifact("acme", 2).uri
    assert datetime.fromisoformat(event["at"]).timestamp() == pytest.approx(world.clock.now(), abs=10)
    (generation,) = json.loads(run("history", "--limit", "1", "--json").stdout)["generations"]
    expected = {"number": 3, "source": "deployment", "outcome": "converged", "changes": 1}
    assert {key: generation[key] for key in expected} == expected
    for key in ("requested_at", "ended_at"):
        assert datetime.fromisoformat(generation[key]).tzinfo is not None


class TestWhy:
    """What the registry tells of why something was sent."""

    def whys(self, run: Run, name: str = "acme") -> list[list[str]]:
        return [[row[1], row[4], row[6]] for row in rows(run("history", name))]

    def test_archive_that_moved_is_the_same(self, run: Run, world: World) -> None:
        for place in ("a", "b"):
            moved = Artifact(uri=f"s3://{place}/acme.tar.gz", digest="ab" * 32)
            world.apply(replace(adapter("acme"), artifact=moved), adapter("zeta"))
        assert self.whys(run)[0][2] == "the same archive at another address"

    def test_rollback_by_a_person_after_one_by_cloudformation(self, run: Run, world: World) -> None:
        for version, digest, previous in ((1, "one", None), (2, "two", "one"), (1, "one", "two")):
            world.apply(adapter("acme", version), adapter("zeta"), digest=digest, previous=previous)
        for undo, version, other in (([], 1, 1), (["--undo"], 1, 2), ([], 1, 2), ([], 3, 2)):
            run("rollback", "acme", *undo)
            world.apply(adapter("acme", version), adapter("zeta", other))
        assert self.whys(run)[:5] == [
            ["updated", "v3.tar.gz", ""],
            ["updated", "v2.tar.gz", "rolled back by 'adapters rollback'"],
            ["updated", "v1.tar.gz", "the rollback is taken back"],
            ["updated", "v2.tar.gz", "rolled back by 'adapters rollback'"],
            ["updated", "v1.tar.gz", "CloudFormation rolls generation 4 back"],
        ]

    def test_manifest_in_s3_that_the_fleet_takes_back(self, run: Run, world: World) -> None:
        world.service.faults.broken[artifact("zeta", 2).uri] = "no such tensor"
        world.put_manifest(adapter("acme", 3), adapter("zeta", 2))
        world.settle()
        assert self.whys(run)[0] == ["updated", "v2.tar.gz", "generation 3 failed, and is taken back"]

    def test_creation_after_someone_deleted_it(self, run: Run, world: World) -> None:
        world.service.remove("p-acme")
        world.apply(adapter("acme", 2), adapter("zeta", 2))
        assert self.whys(run)[:2] == [
            ["created", "v2.tar.gz", "repaired after a change by hand"],
            ["drifted", "-", "someone deleted it"],
        ]
        # Its reason is in what the limit leaves out.
        [line] = run("history", "acme", "--limit", "1").stdout.splitlines()
        assert line.endswith("\trepaired after a change by hand")

    def test_retry_by_a_person(self, run: Run, world: World) -> None:
        world.with_settings(FleetSettings(failures=FailureLimit(count=1)))
        world.service.faults.broken[artifact("acme", 3).uri] = "no such tensor"
        world.apply(adapter("acme", 3), adapter("zeta"))
        world.service.faults.broken.clear()
        run("apply", "--retry", "acme")
        world.settle()
        assert self.whys(run)[:3] == [
            ["updated", "v3.tar.gz", "tried again by 'adapters apply --retry'"],
            ["retried", "-", ""],
            ["failed", "v3.tar.gz", "no such tensor"],
        ]

    def test_deletion_of_the_fleet(self, run: Run, world: World) -> None:
        world.destroy()
        world.settle()
        assert self.whys(run, "p-acme")[0] == ["deleted", "-", "the fleet is deleted"]

    def test_adapter_that_was_imported_has_the_digest_of_the_manifest(self, run: Run, world: World) -> None:
        made = world.service.make("p-hand", "s3://bucket/hand/adapter.tar.gz")
        world.order(OrderKind.CLAIM, "hand", created=made.created)
        hand = adapter("hand")
        known = Artifact(uri="s3://bucket/hand/adapter.tar.gz", digest="d" * 64)
        world.apply(adapter("acme", 2), adapter("zeta"), replace(hand, artifact=known))
        assert self.whys(run, "hand") == [["adopted", "d" * 12, ""]]
        world.apply(adapter("acme", 2), adapter("zeta"), replace(adapter("hand", 2), name="renamed"))
        assert self.whys(run, "renamed")[1] == ["adopted", "d" * 12, ""]


def test_newest_generation_comes_first_and_a_fleet_that_was_never_asked_has_none(
    run: Run, world: World, account: FakeAccount
) -> None:
    world.service.faults.broken[artifact("zeta", 2).uri] = "no such tensor"
    world.put_manifest(adapter("acme", 2), adapter("zeta", 2))
    world.settle()
    result = run("history")
    shown = rows(result)
    assert [[row[0], *row[2:5]] for row in shown] == [
        ["4", "undo", "converged", "0"],
        ["3", "object", "failed", "1"],
        ["2", "deployment", "converged", "1"],
        ["1", "deployment", "converged", "2"],
    ]
    assert (shown[0][5], result.stderr) == ("takes generation 3 back", "")
    assert "no such tensor" in shown[1][5]
    assert shown[0][1].startswith("1970-01-12T")
    account.add_fleet("Tenants", "new", "New")
    result = run("history", "--fleet", "New")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "fleet 'New' has received no manifest yet\n"


@pytest.mark.parametrize("releases", [None, ReleaseSettings(keep=0, drain_seconds=80.0)])
@pytest.mark.parametrize("component", ["legacy-old-deadbeef", "legacy", "p-old"])
def test_history_of_a_component_has_each_of_its_events_once(
    run: Run, world: World, component: str, releases: ReleaseSettings | None
) -> None:
    world.with_settings(FleetSettings(request_rate=10.0, releases=releases))
    for version in (1, 2):
        old = replace(released("old", version), component=component)
        world.apply(released("acme", 2), released("zeta", 1), old)

    def history(name: str) -> list[list[str]]:
        return [[row[0], row[1], row[3], row[4]] for row in rows(run("history", name))]

    told = history("old")
    components = {event.component for event in world.log.events if event.name == "old"}
    assert len(told) == (2 if releases is None else 4)
    assert history(component) == told
    assert sorted(event for made in components for event in history(made)) == sorted(told)
