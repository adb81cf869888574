"""Changes the code at 240 places, one at a time, and finds the changes that no test notices.

A mutant gets the tests that run its line: `build/mutants.coverage` has them. No file changes: pytest loads
this module, and Python compiles the mutant. `build/mutants.json` has what is done, and the next call goes on;
it tries again what lives without a reason in `tests/mutants.toml`. `tests/mutants.md` has the result.
"""

import ast
import json
import os
import random
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import SourceFileLoader
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from coverage import CoverageData

from tests.guides import table

ROOMS = {
    "planning": (40, "lambda/adapter_fleet/fleet/planning"),
    "state": (30, "lambda/adapter_fleet/fleet/state"),
    "reconcile": (40, "lambda/adapter_fleet/fleet/reconcile"),
    "grants": (15, "constructs/multi_adapter_inference/components/grants.py"),
    "rules": (25, "lambda/adapter_fleet/serving"),
    "cli/fleets": (30, "cli/adapters_cli/fleets"),
    "AdapterRoutes": (30, "lambda/adapter_fleet/aws/adapter_routes.py"),
    "the hook": (30, "lambda/adapter_fleet/aws/litellm_routes.py"),
}
DONE, COVERAGE = Path("build/mutants.json"), CoverageData("build/mutants.coverage")
PYTEST = ["pytest", "-qx", "-p", "tests.mutants", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
PAIRS = ["Eq", "NotEq", "Lt", "LtE", "Gt", "GtE", "In", "NotIn", "Is", "IsNot", "And", "Or", "Add", "Sub"]
OTHER = {name: getattr(ast, PAIRS[place ^ 1]) for place, name in enumerate(PAIRS)}
Mutant = tuple[Path, int, range]  # which node of a file changes, and its lines


def change(node: ast.AST) -> bool:
    """Change a node in place; return False if it stays."""
    match node:
        case ast.Compare(ops=[op]) if other := OTHER.get(type(op).__name__):
            node.ops = [other()]
        case ast.BoolOp() | ast.BinOp() if other := OTHER.get(type(node.op).__name__):
            node.op = other()
        case ast.If() | ast.IfExp() if not isinstance(node.test, ast.Compare):
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            node.value = ast.Constant(None)
        case ast.Constant(value=bool() | int() as value):
            node.value = not value if isinstance(value, bool) else value + 1
        case ast.Expr(value=ast.Call()):
            node.value = ast.Constant(None)
        case _:
            return False
    return True


def nodes(tree: ast.AST, inside: str = "") -> Iterator[tuple[Any, str]]:
    """Yield what may change, and the class or function around it. Decorators stay."""
    for child in ast.iter_child_nodes(tree):
        if child not in getattr(tree, "decorator_list", ()):
            yield child, inside
            yield from nodes(child, getattr(child, "name", None) or inside)


def mutants(most: int, start: str) -> dict[str, Mutant]:
    """Return mutants of a room by name. Where the code changes, other mutants come; the rest stay."""
    found: dict[str, Mutant] = {}
    for path in sorted(Path(start).rglob("*.py")) or [Path(start)]:
        for place, (node, inside) in enumerate(list(nodes(ast.parse(path.read_text())))):
            before = ast.unparse(node).partition("\n")[0]
            if change(node):
                name = f"{path.stem}, {inside}: {before} → {ast.unparse(node).partition(chr(10))[0]}"
                found[name] = path.resolve(), place, range(node.lineno, node.end_lineno + 1)
    return {name: found[name] for name in sorted(found, key=lambda one: random.Random(one).random())[:most]}


def failure(tests: list[str], mutant: str = "") -> str:
    """Return which of these tests fails, and why; nothing if all pass."""
    environment = {**os.environ, "MUTANT": mutant}
    run = subprocess.run([*PYTEST, *tests], env=environment, capture_output=True, text=True, check=False)
    failed = re.search(r"^(?:FAILED|ERROR) (.*)", run.stdout, re.MULTILINE)
    return failed[1] if failed else f"exit {run.returncode}" if run.returncode else ""


def attempt(mutant: Mutant) -> str:
    """Run the tests of a mutant, those beside its file first; return the first failure."""
    path, place, lines = mutant
    ran = COVERAGE.contexts_by_lineno(str(path))
    # What Python runs at import is of no test: all tests of the file count.
    contexts = {each for line in lines for each in ran.get(line, ())} - {""} or {*chain(*ran.values())} - {""}
    tests = sorted({each.rpartition("|")[0] for each in contexts})
    beside = [test for test in tests if path.parent.name in Path(test).parts]
    parts = beside, [test for test in tests if test not in beside]
    return next(filter(None, (failure(part, f"{path}:{place}") for part in parts if part)), "")


def main() -> None:
    """Try what is left, and write the page."""
    rooms = {room: mutants(*where) for room, where in ROOMS.items()}
    found = {name: mutant for room in rooms.values() for name, mutant in room.items()}
    reasons: dict[str, str] = tomllib.loads(Path("tests/mutants.toml").read_text())
    done: dict[str, str] = json.loads(DONE.read_text()) if DONE.is_file() else {}
    left = [name for name in found if not done.get(name) and not (name in done and name in reasons)]
    COVERAGE.read()
    with ThreadPoolExecutor(2) as pool:
        for name, failed in zip(left, pool.map(attempt, [found[name] for name in left]), strict=True):
            done[name] = failed
            DONE.write_text(json.dumps(done, indent=1))
    lives = {name: reasons.get(name, "") for name in found if not done[name]}
    if not all(lives.values()):
        sys.exit("\n".join(["no test notices these", *lives]))
    tests = {failed.partition(" - ")[0] for name, failed in done.items() if name in found and "/" in failed}
    if failed := failure(sorted(tests)):
        sys.exit(f"it fails without a mutant, too: {failed}")
    rows = [[room, len(own), len(own.keys() & lives.keys())] for room, own in rooms.items()]
    why = [[f"`{name}`".replace("|", "\\|"), reason] for name, reason in lives.items()]
    tables = table(("room", "mutants", "live"), rows), table(("lives", "why no test can notice it"), why)
    page = "\n\n".join(("# Mutants", "`make qa SUITE=mutants` wrote this page.", *tables))
    Path("tests/mutants.md").write_text(f"{page}\n")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what takes long last."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


if planted := os.environ.get("MUTANT"):
    file, _, number = planted.rpartition(":")
    tree, get = ast.parse(Path(file).read_text()), SourceFileLoader.get_code
    change(list(nodes(tree))[int(number)][0])
    code = compile(ast.fix_missing_locations(tree), file, "exec")
    pytest.MonkeyPatch().setattr(
        SourceFileLoader, "get_code", lambda x, name: code if x.path == file else get(x, name)
    )

if __name__ == "__main__":
    main()
