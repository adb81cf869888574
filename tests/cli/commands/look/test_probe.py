import json
from dataclasses import replace

import pytest

from adapter_fleet.fleet.state.fleet_settings import DriftAction, ReleaseSettings
from tests.adapter_fleet.fake_service import BASE
from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fleet_account import Run, rows


@pytest.fixture(autouse=True)
def deployed(world: World) -> None:
    world.apply(adapter("acme", probed=True), adapter("beta", probed=True), adapter("zeta"))


def results(run: Run, *names: str) -> dict[str, str]:
    return {row[0]: row[1] for row in rows(run("probe", *names))}


def test_each_adapter_with_a_probe_is_asked_now(run: Run, world: World) -> None:
    assert results(run) == {"acme": "right", "beta": "right", "zeta": "no probe"}
    world.service.components["p-beta"].serves = BASE
    world.service.remove("p-acme")
    world.with_settings(replace(world.settings, drift=DriftAction.REPORT))
    world.drift()  # the fleet has noticed
    assert results(run) == {"acme": "no answer", "beta": "wrong", "zeta": "no probe"}
    assert (run("probe").exit_code, run("probe", "zeta").exit_code) == (1, 1)


def test_both_versions_of_a_share_are_asked_and_tried_again(run: Run, world: World) -> None:
    world.with_settings(replace(world.settings, releases=ReleaseSettings()))
    for version in (1, 2):
        gamma = adapter("gamma", version, probed=True)
        world.apply(replace(gamma, artifact=replace(gamma.artifact, digest=str(version) * 64), percent=5))
    live, new = "p-gamma-11111111", "p-gamma-22222222"
    world.service.components[live].serves = BASE
    result = run("probe", "gamma", "--json")
    found = {one["component"]: one["result"] for one in json.loads(result.stdout)["adapters"]}
    assert found == {live: "wrong", new: "right"}
    assert "'adapters apply --retry gamma' asks again" in run("probe", "gamma").stderr
    assert "1 adapter will be tried again" in run("apply", "--retry", "gamma").stdout
    world.settle()
    assert results(run, "gamma") == {"gamma": "right"}
