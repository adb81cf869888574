"""Small faults, one at a time: which share of them the tests of the line notice, room by room.

Run it in a worktree of its own, after `coverage` has seen which tests reach which line:

    python -m pytest -n 2 -m 'not integration and not vllm' --cov --cov-context=test --cov-report= \\
        tests/adapter_fleet tests/constructs tests/cli tests/local
    python -m tests.mutants --each 47 --seed 26 --share 1/1 results.jsonl
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage import CoverageData

FLEET = "lambda/adapter_fleet"
ROOMS = {
    "planning": f"{FLEET}/fleet/planning",
    "state": f"{FLEET}/fleet/state",
    "reconcile": f"{FLEET}/fleet/reconcile",
    "registry": f"{FLEET}/aws",
    "checks": f"{FLEET}/artifacts",
    "manifest": f"{FLEET}/manifest",
    "steps": f"{FLEET}/fleet/steps",
    "requests": f"{FLEET}/fleet/requests",
    "statistics": f"{FLEET}/evaluation",
    "constructs": "constructs",
    "evaluation": "cli/adapters_cli/evaluation",
    "cli": "cli/adapters_cli",
    "emulator": "local/local_sagemaker/control_plane",
}
TESTS_OF_A_LINE = 60
SECONDS = 240
_PAIRS: list[tuple[Any, Any]] = [
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.In, ast.NotIn),
]
_PAIRS += [(ast.Is, ast.IsNot), (ast.Add, ast.Sub), (ast.Mult, ast.FloorDiv), (ast.And, ast.Or)]
_OTHER = dict(_PAIRS) | {after: before for before, after in _PAIRS}


@dataclass(frozen=True)
class Mutant:
    """One fault: the text that takes the place of an expression."""

    room: str
    path: str
    line: int
    start: int
    end: int
    text: str


def changed(node: ast.AST) -> ast.AST | None:
    """An expression with a fault in it, None for one that has none to plant."""
    match node:
        case ast.Compare(left, [operator], comparators) if type(operator) in _OTHER:
            return ast.Compare(left, [_OTHER[type(operator)]()], comparators)
        case ast.BoolOp(both, values):
            return ast.BoolOp(_OTHER[type(both)](), values)
        case ast.BinOp(left, sign, right) if type(sign) in _OTHER:
            return ast.BinOp(left, _OTHER[type(sign)](), right)
        case ast.UnaryOp(ast.Not(), operand):
            return operand
        case ast.Constant(bool() as value):
            return ast.Constant(not value)
        case ast.Constant(int() as value):
            return ast.Constant(value + 1)
        case ast.IfExp(test, body, orelse):
            return ast.IfExp(test, orelse, body)
    return None


def mutants(room: str, file: Path) -> Iterator[Mutant]:
    """Every fault that can be planted in a file, annotations apart."""
    source = file.read_text()
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop(0)
        hints = {id(getattr(node, name, None)) for name in ("annotation", "returns")}
        waiting.extend(child for child in ast.iter_child_nodes(node) if id(child) not in hints)
        other = changed(node)
        if other is not None and isinstance(node, ast.expr) and node.end_lineno and node.end_col_offset:
            start = starts[node.lineno - 1] + node.col_offset
            end = starts[node.end_lineno - 1] + node.end_col_offset
            yield Mutant(room, str(file), node.lineno, start, end, f"({ast.unparse(other)})")


def noticed(mutant: Mutant, data: CoverageData) -> dict[str, Any]:
    """What the tests that reach the line say: killed, survived, slow or uncovered; and who killed it.

    Some quick tests come first. What they let live, all have to.
    """
    contexts = data.contexts_by_lineno(str(Path(mutant.path).absolute())).get(mutant.line, [])
    tests = sorted({context.split("|")[0] for context in contexts if "::" in context})
    if not tests:
        return {"outcome": "uncovered"}
    some = random.Random(mutant.start).sample(tests, min(len(tests), TESTS_OF_A_LINE))
    file = Path(mutant.path)
    source = file.read_bytes()
    try:
        file.write_bytes(source[: mutant.start] + mutant.text.encode() + source[mutant.end :])
        found = _failure_of("--hypothesis-profile=quick", "--timeout=30", "-m", "not slow", *some)
        if found["outcome"] == "survived":
            found = _failure_of(*tests)
    finally:
        file.write_bytes(source)
    return found


def _failure_of(*arguments: str) -> dict[str, Any]:
    """What the first test says that fails."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "--tb=no", "-o", f"cache_dir={cache}"]
        try:
            done = subprocess.run(
                [*command, *arguments], capture_output=True, timeout=SECONDS, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            return {"outcome": "slow"}
        failed = Path(cache, "v", "cache", "lastfailed")
        killers = list(json.loads(failed.read_text())) if failed.exists() else []
    return {"outcome": "survived" if done in (0, 5) else "killed", "code": done, "killers": killers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "results", type=Path, help="gets a line of JSON for each mutant; one that has some goes on"
    )
    parser.add_argument("--each", type=int, default=47, help="how many of each room")
    parser.add_argument("--seed", type=int, default=26)
    parser.add_argument("--share", default="1/1", help="the part that this run takes, such as 1/2")
    given = parser.parse_args()
    share, shares = map(int, given.share.split("/"))
    data = CoverageData()
    data.read()
    chosen = random.Random(given.seed)
    sites: list[Mutant] = []
    for room, folder in ROOMS.items():
        inner = [Path(other) for other in ROOMS.values() if other.startswith(folder + "/")]
        files = [
            file for file in sorted(Path(folder).rglob("*.py")) if not any(map(file.is_relative_to, inner))
        ]
        sites += chosen.sample([mutant for file in files for mutant in mutants(room, file)], given.each)
    known = given.results.read_text().splitlines() if given.results.exists() else []
    for mutant in sites[share - 1 :: shares][len(known) :]:
        with given.results.open("a") as results:
            results.write(json.dumps(vars(mutant) | noticed(mutant, data)) + "\n")


if __name__ == "__main__":
    main()
