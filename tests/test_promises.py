"""The guides of promises and divergences, and other documents, name tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISES, DIVERGENCES = ROOT / "docs/guides/promises.md", ROOT / "docs/guides/divergences.md"


def named(guide: Path) -> list[tuple[str, str | None]]:
    """Return the files of tests that a guide names, each with the test or class where one is named."""
    found: list[tuple[str, str | None]] = []
    path = ""
    for text in re.findall(r"`((?:tests/\S+?\.py)?(?:::\w+)?)`", guide.read_text()):
        file, _, name = text.partition("::")
        path = file or path
        if path and text:
            found.append((path, name or None))
    return found


@pytest.mark.parametrize(("path", "name"), [*named(PROMISES), *named(DIVERGENCES)])
def test_test_that_the_guide_names_exists(path: str, name: str | None) -> None:
    tree = ast.parse((ROOT / path).read_text())
    defined = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name.lower().startswith("test")
    }
    assert defined if name is None else name in defined


def test_tests_that_other_documents_name_exist() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")]
    paths = {
        path for document in documents for path in re.findall(r"\btests/[\w./-]+\.py\b", document.read_text())
    }
    assert len(paths) > 50
    assert sorted(path for path in paths if not (ROOT / path).is_file()) == []


@pytest.mark.parametrize(("guide", "least"), [(PROMISES, 40), (DIVERGENCES, 30)])
def test_guide_names_many(guide: Path, least: int) -> None:
    assert len(named(guide)) > least
