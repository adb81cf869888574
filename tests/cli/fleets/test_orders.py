from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import Result

from tests.adapter_fleet.fleet_world import World, adapter, artifact

Run = Callable[..., Result]


@pytest.mark.parametrize("command", [["apply", "--retry"], ["rollback", "acme"]])
def test_nothing_is_ordered_that_would_not_be_done(run: Run, world: World, command: list[str]) -> None:
    world.service.faults.broken[artifact("acme").uri] = "no such tensor"
    world.deploy(adapter("acme"))
    world.settle()
    result = run(*command)
    assert result.exit_code == 1
    assert "nothing is done before another deployment or manifest" in result.stderr
    assert world.registry.orders() == []
