import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sagemaker.ministack_patches import internals
from local_sagemaker.ministack_patches.internals import UnknownMinistackError, expect


def test_ministack_that_is_built_differently_is_named_with_its_version() -> None:
    with pytest.raises(UnknownMinistackError, match="is not built as expected: a table is there"):
        expect(False, "a table is there")


PACKAGE = Path(internals.__file__).parents[1]
EXPECT = re.compile(r"\bexpect(_names)?\(")


def test_every_private_name_of_ministack_is_expected_at_the_start() -> None:
    """So that a ministack which is built differently is named when the cloud starts, and not in a request."""
    used: set[str] = set()
    expected: set[str] = set()
    for tree in (ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")):
        modules = set(imported(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                used |= {node.attr} if ast.unparse(node.value) in modules else set()
            if isinstance(node, ast.FunctionDef) and EXPECT.search(ast.unparse(node)):
                expected |= set(re.findall(r"\b_\w+", expectations(node)))
    assert used - expected == set()


def imported(tree: ast.Module) -> Iterator[str]:
    """The modules of ministack that a module imports, by the names that they have there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ministack"):
            yield from (alias.asname or alias.name for alias in node.names)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("ministack"))


def expectations(function: ast.FunctionDef) -> str:
    """The texts of a function, and what it passes to `expect`."""
    texts = [node.value for node in ast.walk(function) if isinstance(node, ast.Constant)]
    calls = [ast.unparse(node) for node in ast.walk(function) if isinstance(node, ast.Call)]
    return " ".join([*map(str, texts), *filter(EXPECT.match, calls)])
