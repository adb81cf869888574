"""Clients that others wrote, unmodified, each in an environment of its own: `make qa SUITE=clients`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.clients import CLIENTS, KNOWN, Client, surprises

if TYPE_CHECKING:
    from tests.clients.world import World

# An installation may have to wait for a package index.
pytestmark = pytest.mark.timeout(1200)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda one: one.script)
def test_calls_work_but_for_those_that_are_known_to_fail(
    client: Client, world: World, tried: set[str]
) -> None:
    client.environment.install()
    lines = world.run(client.environment, client.script)
    tried.add(client.script)
    assert surprises(lines, KNOWN.get(client.script, {})) == []
    assert len(lines) == client.calls
