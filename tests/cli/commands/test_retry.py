from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings
from tests.adapter_fleet.fleet_world import World, adapter, artifact
from tests.cli.fleet_account import FakeAccount

Run = Callable[..., Result]
Write = Callable[..., Path]


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

    def test_named_adapter_is_tried_again(self, run: Run, world: World, account: FakeAccount) -> None:
        now = world.clock.now()
        result = run("apply", "--retry", "acme")
        assert result.exit_code == 0
        assert result.stdout == "1 adapter will be tried again; 'adapters status --wait' follows\n"
        assert account.started.inputs == [{"trigger": "order", "requested_at": now}]
        world.settle()
        assert world.serving().keys() == {"acme", "beta"}
        assert json.loads(run("apply", "--retry", "p-zeta", "--json").stdout) == {
            "fleet": "fleet",
            "retried": [{"name": "zeta", "component": "p-zeta"}],
        }

    @pytest.mark.parametrize("option", ["--timeout=3600", "--allow-failing"])
    def test_options_of_a_manifest_are_refused(self, run: Run, world: World, option: str) -> None:
        assert run("apply", "--retry", "acme", option).exit_code == 2
        assert world.registry.orders() == []

    def test_adapter_that_has_not_failed_is_not_tried_again(
        self, run: Run, world: World, account: FakeAccount
    ) -> None:
        result = run("apply", "--retry", "acme", "beta")
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr == "adapters: adapter 'beta' has not failed; it is in service\n"
        assert (world.registry.orders(), account.started.inputs) == ([], [])

    def test_all_that_failed_are_tried_again(self, run: Run, world: World, account: FakeAccount) -> None:
        assert run("apply", "--retry").stdout.startswith("2 adapters will be tried again")
        world.settle()
        assert world.serving().keys() == {"acme", "beta", "zeta"}
        result = run("apply", "--retry")
        assert (result.exit_code, result.stdout) == (0, "no adapter has failed\n")
        assert len(account.started.inputs) == 1


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
            " 'adapters apply --retry' of a pending adapter starts a new one\n"
        )

    def test_fleet_goes_on_with_all_that_is_pending(self, run: Run, world: World) -> None:
        assert run("apply", "--retry", "acme").exit_code == 0
        result = run("status", "--wait")
        assert (result.exit_code, set(world.serving())) == (0, {"acme", "beta"})

    def test_all_that_failed_are_none_of_them(self, run: Run, account: FakeAccount) -> None:
        result = run("apply", "--retry")
        assert (result.exit_code, result.stdout) == (0, "no adapter has failed; 2 pending\n")
        assert account.started.inputs == []
