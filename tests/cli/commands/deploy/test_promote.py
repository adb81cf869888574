import json
from dataclasses import replace
from pathlib import Path

import pytest

from adapter_fleet.fleet.state.fleet_settings import CanarySettings, ReleaseSettings
from tests.adapter_fleet.fleet_world import World, artifact, released
from tests.cli.fleet_account import Run


@pytest.fixture(autouse=True)
def begun(world: World) -> None:
    """A second version that answers 5 % of the callers."""
    world.with_settings(replace(world.settings, releases=ReleaseSettings(canary=CanarySettings())))
    world.apply(released("acme", 1))
    world.deploy(released("acme", 2))
    world.settle_without_retries()


def test_callers_follow_by_a_larger_share_and_all_of_them(run: Run, world: World) -> None:
    document = json.loads(run("promote", "acme", "--percent", 60, "--json").stdout)
    assert (document["percent"], document["to"]["digest"]) == (60, f"sha256:{'2' * 64}")
    assert world.registry.items["route#acme"]["route"]["percent"] == {"N": "60"}
    writes = len(world.writes())
    assert run("promote", "acme").stdout == "222222222222 of acme answers 100 % of the callers within 30 s\n"
    route = world.registry.routes.read().routes["acme"]
    assert (route.live.component, route.candidate) == ("p-acme-22222222", None)
    world.settle()
    assert world.writes()[writes:] == []
    history = run("history", "acme").stdout
    assert "222222222222 answers 5 % of the callers" in history
    assert "222222222222 answers instead of 111111111111" in history


def test_rollback_takes_its_share_at_once(run: Run, world: World) -> None:
    assert json.loads(run("rollback", "acme", "--json").stdout)["at_once"] is True
    assert world.registry.items["route#acme"]["route"].keys() == {
        "pk",
        "sk",
        "component",
        "revision",
        "digest",
    }
    world.settle()
    assert world.registry.routes.read().routes["acme"].live.component == "p-acme-11111111"
    assert set(world.serving()) == {"acme-11111111"}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["zeta"], "the fleet has no adapter 'zeta'"),
        (
            ["acme", "--percent", 5],
            "'--percent' should be above 5, its share now, got 5; 'percent' in the manifest may be smaller",
        ),
    ],
)
def test_what_is_not_begun_or_smaller_is_refused(run: Run, arguments: list[object], why: str) -> None:
    result = run("promote", *arguments)
    assert (result.exit_code, result.stderr) == (1, f"adapters: {why}\n")


def test_version_that_is_not_what_it_was_is_not_promoted(run: Run, world: World) -> None:
    world.service.edit("p-acme-22222222", "s3://bucket/by-hand")
    result = run("promote", "acme")
    assert (result.exit_code, result.stderr) == (
        1,
        "adapters: version 222222222222 is not in service as it was proven\n",
    )


def test_status_and_describe_show_both_versions_and_wait_for_the_last_step(run: Run, world: World) -> None:
    (row,) = json.loads(run("status", "--json").stdout)["adapters"]
    assert (row["component"], row["percent"]) == ("p-acme-22222222", 5)
    assert row["reason"] == "it answers 5 % of the callers, 111111111111 the others"
    world.service.faults.asked = 3.0
    world.run_for(3000.0)
    assert (
        run("status")
        .stdout.splitlines()[0]
        .split("\t")[-1]
        .endswith("; it got 3 requests, 100 wanted (for 9m)")
    )
    world.service.faults.asked = 1000.0
    waited = run("status", "--wait")
    assert waited.exit_code == 0
    assert (
        "waits for acme: in service; it answers 5 % of the callers, 111111111111 the others" in waited.stderr
    )
    assert len(waited.stderr.splitlines()) > 10
    assert world.registry.routes.read().routes["acme"].live.artifact.uri == artifact("acme", 2).uri


def test_plan_says_which_callers_another_share_sends(run: Run, world: World, tmp_path: Path) -> None:
    def planned(version: int, **more: object) -> list[str]:
        digest = f"sha256:{str(version) * 64}"
        entry = {"name": "acme", "artifact": artifact("acme", version).uri, "digest": digest, **more}
        (tmp_path / "next.json").write_text(json.dumps({"adapters": [entry]}))
        return run("plan", tmp_path / "next.json").stdout.rstrip("\n").split("\t")

    assert planned(2) == [""], "the canary goes on"
    assert [planned(2, percent=60)[index] for index in (1, 2, 4)] == [
        "route",
        "111111111111",
        "for 60 % of the callers",
    ]
    assert [planned(1)[index] for index in (1, 4)] == ["route", "for 100 % of the callers"]
