"""The guide of promises, the list of divergences and other documents name tests and paths that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.promised import DIVERGENCES, PROMISES, ROOT, named


@pytest.mark.slow
@pytest.mark.parametrize(("file", "least"), [(PROMISES, 40), (DIVERGENCES, 30)])
def test_tests_that_are_named_exist(file: Path, least: int) -> None:
    tests = named(file)
    assert len(tests) > least
    found = {test: names_in(ROOT / test.path) for test in tests}
    assert [str(test) for test in tests if not found[test] or test.name not in {None, *found[test]}] == []


@cache
def names_in(path: Path) -> set[str]:
    """Return the names of the tests and classes of a file."""
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name.lower().startswith("test")
    }


def test_tests_that_other_documents_name_exist() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")]
    paths = {
        path for document in documents for path in re.findall(r"\btests/[\w./-]+\.py\b", document.read_text())
    }
    assert len(paths) > 50
    assert sorted(path for path in paths if not (ROOT / path).is_file()) == []


@pytest.mark.slow
def test_files_with_tests_for_the_night_are_run_at_night() -> None:
    """A promise whose test `make test` skips is kept by `make nightly`, which fails with any of its tests."""
    nightly = "".join(re.findall(r"\(RANDOM_TESTS\) (.*)", (ROOT / "Makefile").read_text()))
    marks = ("NIGHTLY", "tests.nightly")
    files = {
        path.relative_to(ROOT)
        for path in (ROOT / "tests").rglob("test_*.py")
        if path != Path(__file__) and any(mark in path.read_text() for mark in marks)
    }
    assert len(files) > 10
    assert {file for file in files if str(file) not in nightly and str(file.parent) not in nightly} == set()


def test_every_path_in_contributing_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`([\w.-]+/[\w./-]*)`", text) + re.findall(r"\]\((?!http)([^)#]+)", text)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
