"""The paths that CONTRIBUTING.md names exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_path_in_contributing_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`([\w.-]+/[\w./-]*)`", text) + re.findall(r"\]\((?!http)([^)#]+)", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
