"""Environments of clients: what they pin."""

from __future__ import annotations

import re

import pytest

from tests.clients.clients import CLIENTS
from tests.clients.environments import REQUIREMENTS

LOCKS = sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_and_none_has_an_address(name: str) -> None:
    lines = (REQUIREMENTS / f"{name}.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+-]+( ; .+)?", line)] == []


def test_every_environment_is_that_of_a_client() -> None:
    assert sorted({one.environment.name for one in CLIENTS}) == LOCKS
    assert sorted(path.stem for path in REQUIREMENTS.glob("*.in")) == LOCKS
