"""Changes what functions do at some 240 places, one at a time, and finds the changes that no test notices.

A mutant gets the tests of `build/mutants.coverage` that run its line; if a fixture does, all of the file. No
file changes: pytest loads this module, and Python compiles the mutant. The next call tries what is left.
"""

import ast
import json
import os
import random
import re
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any
from unittest.mock import patch

from coverage import CoverageData

from tests.guides import last_run, table

ROOMS = {
    "planning": (40, "lambda/adapter_fleet/fleet/planning"),
    "state": (30, "lambda/adapter_fleet/fleet/state"),
    "reconcile": (40, "lambda/adapter_fleet/fleet/reconcile"),
    "grants": (15, "constructs/multi_adapter_inference/components/grants.py"),
    "rules": (25, "rules/adapter_rules/engines"),
    "cli/fleets": (30, "cli/adapters_cli/fleets"),
    "AdapterRoutes": (30, "lambda/adapter_fleet/aws/adapter_routes.py"),
    "the hook": (30, "lambda/adapter_fleet/aws/litellm_routes.py"),
}
DONE, COVERAGE = Path("build/mutants.json"), CoverageData("build/mutants.coverage")
PYTEST = ["python", "-m", "pytest", "-qx", "-p", "tests.mutants", "--hypothesis-profile=mutants", "-m"]
PAIRS = ["Eq", "NotEq", "Lt", "LtE", "Gt", "GtE", "In", "NotIn", "Is", "IsNot", "And", "Or", "Add", "Sub"]


def change(node: Any) -> None:
    """Change a node in place, if there is a change for it."""
    match node:
        case ast.Compare(ops=[op]) | ast.BoolOp(op=op) | ast.BinOp(op=op) if type(op).__name__ in PAIRS:
            other = getattr(ast, PAIRS[PAIRS.index(type(op).__name__) ^ 1])()
            vars(node).update(op=other, ops=[other])
        case ast.If() | ast.IfExp() if not isinstance(node.test, ast.Compare):
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.Constant(value=bool() | int() as value):
            node.value = not value if isinstance(value, bool) else value + 1
        case ast.Return() | ast.Expr(value=ast.Call()) if not isinstance(node.value, ast.Constant | None):
            node.value = ast.Constant(None)


def nodes(tree: ast.Module) -> list[tuple[Any, str]]:
    """Return what functions run, with the name of the innermost."""
    functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    run = [(node, one.name) for one in functions for statement in one.body for node in ast.walk(statement)]
    return list({id(node): (node, name) for node, name in run}.values())


def mutants(most: int, start: str) -> dict[str, tuple[Path, int, range]]:
    """Return mutants by name: file, node, lines. Where code changes, others come; the rest stay."""
    found = {}
    for path in sorted(Path(start).rglob("*.py")) or [Path(start)]:
        for place, (node, function) in enumerate(nodes(ast.parse(path.read_text()))):
            before = ast.unparse(node).partition("\n")[0]
            change(node)
            after = ast.unparse(node).partition("\n")[0]
            if after != before:
                lines = range(node.lineno, node.end_lineno + 1)
                found[f"{path.stem}, {function}: {before} → {after}"] = path.resolve(), place, lines
    return {name: found[name] for name in sorted(found, key=lambda one: random.Random(one).random())[:most]}


def failure(tests: set[str], mutant: str = "", which: str = "slow or not slow") -> str:
    """Return which of these tests fails, and why; nothing if all pass."""
    command, variables = [*PYTEST, which, "--timeout=60", *sorted(tests)], {**os.environ, "MUTANT": mutant}
    run = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    failed = re.search(r"^(?:FAILED|ERROR) (.*)", run.stdout, re.MULTILINE)
    return failed[1] if failed else f"exit {run.returncode}" if run.returncode not in (0, 5) else ""


def attempt(path: Path, place: int, lines: range) -> str:
    """Run the tests of a mutant until one fails; those of its room come first, and slow ones last."""
    ran = COVERAGE.contexts_by_lineno(str(path))
    tests = {re.sub(r"::.*\|setup$|\|\w+$", "", one) for line in lines for one in ran.get(line, ()) if one}
    beside = {test for test in tests if path.parent.name in Path(test).parts}
    stages = (beside, "not slow"), (tests - beside, "not slow"), (tests, "slow")
    return next(filter(None, (failure(some, f"{path}:{place}", slow) for some, slow in stages if some)), "")


def main() -> None:
    """Try what is not noticed yet, and write the page."""
    rooms = {room: mutants(*where) for room, where in ROOMS.items()}
    found = {name: mutant for room in rooms.values() for name, mutant in room.items()}
    done: dict[str, str] = json.loads(DONE.read_text()) if DONE.is_file() else {}
    left = [name for name in found if not done.get(name)]
    COVERAGE.read()
    with ThreadPoolExecutor(2) as pool:
        for name, failed in zip(left, pool.map(lambda name: attempt(*found[name]), left), strict=True):
            done[name] = failed
            DONE.write_text(json.dumps(done, indent=1))
    reasons = tomllib.loads(Path("tests/mutants.toml").read_text())
    lives = {name: reasons.get(name, "**no test yet**") for name in found if not done[name]}
    rows = [[room, len(own), len(own.keys() & lives.keys())] for room, own in rooms.items()]
    page = ["# Mutants", last_run("by `make qa SUITE=mutants`"), table(("room", "mutants", "live"), rows)]
    page += [f"- `{name}`: {reason}" for name, reason in lives.items()]
    Path("tests/mutants.md").write_text("\n\n".join(page) + "\n")
    tests = {done[name].partition(" - ")[0] for name in found if "/" in done[name]}
    if problem := "\n".join(lives.keys() - reasons.keys()) or failure(tests):
        raise SystemExit(f"it lives without a reason, or fails without a mutant: {problem}")


if planted := os.environ.get("MUTANT"):
    file, _, number = planted.rpartition(":")
    tree, get = ast.parse(Path(file).read_text()), SourceFileLoader.get_code
    change(nodes(tree)[int(number)][0])
    code = compile(ast.fix_missing_locations(tree), file, "exec")
    patch.object(SourceFileLoader, "get_code", lambda x, y: code if x.path == file else get(x, y)).start()
elif __name__ == "__main__":
    main()
