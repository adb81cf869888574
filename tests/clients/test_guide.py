"""The guide of foreign clients has what `make test-clients` recorded, for the pinned versions."""

from __future__ import annotations

import pytest

from tests.clients.clients import CLIENTS, Client
from tests.clients.known_failures import KNOWN
from tests.clients.record import BEGINNING, GUIDE


@pytest.fixture(scope="module")
def recorded() -> str:
    return GUIDE.read_text().partition(BEGINNING)[2]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda one: one.script)
def test_client_has_a_row_with_its_pinned_version(recorded: str, client: Client) -> None:
    rows = [row for row in recorded.splitlines() if row.startswith(f"| {client.name} | ")]
    assert len(rows) == 1
    _, package, worked, *failed = rows[0].strip("| ").split(" | ")
    assert package == f"{client.package} {client.version}"
    assert int(worked) + sum(map(int, failed)) == client.calls
    assert sum(map(int, failed)) == len(KNOWN.get(client.script, {}))


@pytest.mark.parametrize(("script", "call"), [(script, call) for script in KNOWN for call in KNOWN[script]])
def test_known_failure_has_its_reason_and_fault(recorded: str, script: str, call: str) -> None:
    (name,) = [client.name for client in CLIENTS if client.script == script]
    section = recorded.partition(f"### {name}\n")[2].partition("\n### ")[0]
    known = KNOWN[script][call]
    assert f"| `{call}` | {known.why} | {known.fault} |" in section
