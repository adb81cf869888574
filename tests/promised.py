"""Which tests the guide of promises and the list of divergences name, and whether they ran.

    python -m tests.promised [--later TEXT …] REPORT…

Reads what pytest wrote for --junitxml. It exits with 1 where a named test passed in none of them, unless
the test's path or the reason of its skip has one of the texts.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
PROMISES, DIVERGENCES = ROOT / "docs/guides/promises.md", ROOT / "tests/local/test_divergences.py"


@dataclass(frozen=True)
class Named:
    """A file of tests that a list names, with the test or class where one is named."""

    path: str
    name: str | None

    def __str__(self) -> str:
        return self.path if self.name is None else f"{self.path}::{self.name}"


def named(file: Path) -> list[Named]:
    """Return what a guide names in backticks, or a module in strings."""
    found: list[Named] = []
    path = ""
    for text in re.findall(r"""[`"]((?:tests/\S+?\.py)?(?:::\w+)?)[`"]""", file.read_text()):
        given, _, name = text.partition("::")
        path = given or path
        if path and text:
            found.append(Named(path, name or None))
    return found


def outcomes(report: Path) -> Iterator[tuple[Named, str]]:
    """Yield what a report says of each case: of its file, its class and its function."""
    for case in ElementTree.parse(report).iter("testcase"):
        said = next((f"{part.tag} {part.get('message', '')}" for part in case), "passed")
        function = case.attrib["name"].partition("[")[0]
        for name in (None, function, case.attrib["classname"].rpartition(".")[2]):
            yield Named(case.attrib["file"], name), said


def main() -> int:
    """Tell which of the named tests did not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument("--later", action="append", default=[], help="what another run has to show")
    given = parser.parse_args()
    said: dict[Named, set[str]] = {}
    for report in given.reports:
        for test, outcome in outcomes(report):
            said.setdefault(test, set()).add(outcome)
    tests = dict.fromkeys([*named(PROMISES), *named(DIVERGENCES)])
    left = [test for test in tests if "passed" not in said.get(test, ())]
    later = [test for test in left if any(text in f"{test} {said.get(test)}" for text in given.later)]
    missing = [test for test in left if test not in later]
    sys.stdout.write(f"Of {len(tests)} tests that the guides name, {len(tests) - len(left)} passed\n")
    sys.stdout.write("".join(f"in another run: {test}\n" for test in later))
    sys.stdout.write("".join(f"not run: {test}\n" for test in missing))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
