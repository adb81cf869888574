"""Clients that others wrote, unmodified, each in an environment of its own: `make qa SUITE=clients`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.clients.clients import CLIENTS, Client
from tests.clients.known_failures import KNOWN, surprises
from tests.clients.record import Outcome

if TYPE_CHECKING:
    from tests.clients.world import World

# An installation may have to wait for a package index.
pytestmark = pytest.mark.timeout(1200)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda one: one.script)
def test_calls_work_but_for_those_that_are_known_to_fail(
    client: Client, world: World, outcomes: dict[str, Outcome]
) -> None:
    client.environment.install()
    started = time.monotonic()
    lines = world.run(client)
    outcomes[client.script] = Outcome(
        worked=[line["call"] for line in lines if line["ok"]],
        failed=[line["call"] for line in lines if not line["ok"]],
        seconds=time.monotonic() - started,
    )
    assert surprises(lines, KNOWN.get(client.script, {})) == []
    assert len(lines) == client.calls
