"""Environments of clients: what they pin, and an installation that fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.clients import environments
from tests.clients.clients import CLIENTS
from tests.clients.environments import REQUIREMENTS, Environment, NotInstalledError

LOCKS = sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_and_none_has_an_address(name: str) -> None:
    lines = (REQUIREMENTS / f"{name}.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+-]+( ; .+)?", line)] == []


def test_every_environment_is_that_of_a_client() -> None:
    assert sorted({one.environment.name for one in CLIENTS}) == LOCKS
    assert sorted(path.stem for path in REQUIREMENTS.glob("*.in")) == LOCKS


def test_installation_that_fails_is_told_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environments, "REQUIREMENTS", tmp_path)
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    (tmp_path / "broken.txt").write_text("no requirement ==\n")
    for _ in range(2):
        with pytest.raises(NotInstalledError, match="broken could not be installed: "):
            Environment("broken").install()
