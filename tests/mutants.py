"""Changes the code at one place after the other, and tells which changes no test notices.

    python -m tests.mutants [MINUTES]

Each mutant runs in a worktree, with the tests that run its line. `build/mutants.json` has what is done:
the next call goes on. `tests/mutants.md` has the result. The exit code is 1 if a mutant lives, and
`tests/mutants.toml` does not say why no test can notice it.
"""

import ast
import json
import random
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

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
TREE, DONE, REASONS = Path("build/mutants"), Path("build/mutants.json"), Path("tests/mutants.toml")
COVERAGE, PAGE = Path("build/mutants.coverage"), Path("tests/mutants.md")
OTHERS = [
    (ast.Eq, ast.NotEq),
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.In, ast.NotIn),
    (ast.Is, ast.IsNot),
    (ast.And, ast.Or),
    (ast.Add, ast.Sub),
]
OTHER: dict[type, type] = {**dict(OTHERS), **{new: old for old, new in OTHERS}}


def change(node: ast.AST) -> bool:
    """Change a node in place; return False if it stays."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in OTHER:
            node.ops = [OTHER[type(op)]()]
        case ast.BoolOp() | ast.BinOp() if type(node.op) in OTHER:
            node.op = OTHER[type(node.op)]()
        case ast.If() | ast.IfExp():
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


def places(path: Path) -> list[int]:
    """Return which nodes of a file can be changed. Decorators stay."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    decorators = [each for node in nodes for each in getattr(node, "decorator_list", ())]
    fixed = {id(each) for decorator in decorators for each in ast.walk(decorator)}
    return [place for place, node in enumerate(nodes) if id(node) not in fixed and change(node)]


def chosen(seed: int = 7) -> Iterator[tuple[str, Path, int]]:
    """Yield room, file and place of the mutants."""
    dice = random.Random(seed)
    for room, (most, start) in ROOMS.items():
        files = [Path(start)] if start.endswith(".py") else sorted(Path(start).rglob("*.py"))
        found = [(path, place) for path in files for place in places(path)]
        yield from ((room, *each) for each in dice.sample(found, min(most, len(found))))


def is_noticed(path: Path, source: str, tests: list[str]) -> bool:
    """Return True if one of these tests fails, or does not end, with this source."""
    (TREE / path).write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *tests]
    try:
        return (
            subprocess.run(command, cwd=TREE, capture_output=True, check=False, timeout=300).returncode != 0
        )
    except subprocess.TimeoutExpired:
        return True
    finally:
        (TREE / path).write_text(path.read_text())


def main(minutes: float) -> int:
    """Run what is not done yet, as far as the time lasts; return 1 if a mutant lives without a reason."""
    begin, data = time.monotonic(), CoverageData(str(COVERAGE))
    data.read()
    done: dict[str, list[str]] = json.loads(DONE.read_text()) if DONE.is_file() else {}
    for room, path, place in chosen():
        tree = ast.parse(path.read_text())
        node: ast.expr = list(ast.walk(tree))[place]  # type: ignore[assignment]
        change(node)
        mutant = f"{path}:{node.lineno} {ast.unparse(node).splitlines()[0]}"
        ran = data.contexts_by_lineno(str(path.resolve()))
        lines = range(node.lineno, (getattr(node, "test", node).end_lineno or 0) + 1)
        contexts = [context.partition("|")[0] for line in lines for context in ran.get(line, ()) if context]
        # Those of its own file come first: one of them is the likeliest to fail.
        tests = sorted(set(contexts), key=lambda test: (f"test_{path.name}" not in test, test))
        if mutant not in done and time.monotonic() - begin < 60 * minutes:
            noticed = bool(tests) and is_noticed(path, ast.unparse(tree), tests)
            done[mutant] = [room, "noticed" if noticed else "lives"]
            DONE.write_text(json.dumps(done, indent=2))
    reasons = tomllib.loads(REASONS.read_text())
    lives = [mutant for mutant, (_, outcome) in done.items() if outcome == "lives"]
    rows = [
        [room, *(list(done.values()).count([room, how]) for how in ("noticed", "lives"))] for room in ROOMS
    ]
    why = [[f"`{mutant}`", reasons.get(mutant, "**nobody said**")] for mutant in lives]
    tables = table(("room", "noticed", "live"), rows), table(("lives", "why no test can notice it"), why)
    PAGE.write_text("\n\n".join(("# Mutants", "`make qa SUITE=mutants` wrote this page.", *tables)) + "\n")
    return int(any(mutant not in reasons for mutant in lives))


if __name__ == "__main__":
    sys.exit(main(float(*sys.argv[1:] or ["60"])))
