"""What clients pin, and what the guide says of the pinned versions."""

import re

from tests.clients.clients import CLIENTS, KNOWN, PART
from tests.clients.environments import REQUIREMENTS

LOCKS = sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


def test_every_package_is_pinned_and_none_has_an_address() -> None:
    assert {one.environment.name for one in CLIENTS} <= set(LOCKS)
    lines = [line for name in LOCKS for line in (REQUIREMENTS / f"{name}.txt").read_text().splitlines()]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+-]+( ; .+)?", line)] == []


def test_guide_has_each_client_with_its_pinned_version_and_what_does_not_work() -> None:
    assert PART.in_guide() == PART.text(), "`make qa SUITE=clients` writes it"
    assert KNOWN.keys() == {client.script for client in CLIENTS}
