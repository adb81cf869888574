"""The table of clients in the guide to the embedded cloud."""

from __future__ import annotations

from tests.clients.clients import CLIENTS, Client
from tests.clients.environments import ROOT
from tests.clients.known_failures import KNOWN
from tests.guides import MadePart, table


def clients_table() -> str:
    """Return a row for each client: how it names a component, and what works but for the known failures."""
    head = ("client", "names the component by", "calls that worked", "does not work")
    return table(head, [_row(one) for one in CLIENTS])


def _row(one: Client) -> list[str]:
    known = KNOWN[one.script]
    reasons = dict.fromkeys(failure.why for failure in known.values())
    worked = f"{one.calls - len(known)} of {one.calls}"
    return [f"{one.name} ({one.package} {one.version})", one.component, worked, "; ".join(reasons)]


PART = MadePart(
    guide=ROOT / "docs/guides/embedded-cloud.md",
    begin="<!-- Begin: written by `make qa SUITE=clients`. -->",
    end="<!-- End. -->",
    text=clients_table,
)
