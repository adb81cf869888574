"""What clients pin, and what `make qa SUITE=clients` recorded in the guide for the pinned versions."""

from __future__ import annotations

import re

import pytest

from tests.clients.clients import CLIENTS, Client
from tests.clients.environments import REQUIREMENTS
from tests.clients.known_failures import KNOWN
from tests.clients.record import BEGINNING, GUIDE

LOCKS = sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))
RECORDED = GUIDE.read_text().partition(BEGINNING)[2]


def test_every_package_is_pinned_and_none_has_an_address() -> None:
    assert {one.environment.name for one in CLIENTS} <= set(LOCKS)
    lines = [line for name in LOCKS for line in (REQUIREMENTS / f"{name}.txt").read_text().splitlines()]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+-]+( ; .+)?", line)] == []


@pytest.mark.parametrize("client", CLIENTS, ids=lambda one: one.script)
def test_client_has_a_row_with_its_pinned_version_and_the_reasons_of_failures(client: Client) -> None:
    (row,) = (row for row in RECORDED.splitlines() if row.startswith(f"| {client.name} | "))
    _, package, worked, *failed = row.strip("| ").split(" | ")
    assert package == f"{client.package} {client.version}"
    known = KNOWN.get(client.script, {})
    assert (int(worked) + len(known), sum(map(int, failed))) == (client.calls, len(known))
    section = RECORDED.partition(f"### {client.name}\n")[2].partition("\n### ")[0]
    for call, failure in known.items():
        assert f"| `{call}` | {failure.why} | {failure.fault} |" in section
