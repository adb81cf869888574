"""Seconds and cases of the tests by file or folder, the slowest first, as the last run reported them.

    python -m tests.durations REPORT [--folders] [--most 10]

A fixture's time is that of the test that first asked for it.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from tests.guides import table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("report", type=Path, help="what pytest wrote for --junitxml")
    parser.add_argument("--folders", action="store_true", help="the first two folders instead of files")
    parser.add_argument("--most", type=int, help="how many rows")
    given = parser.parse_args()
    seconds: Counter[str] = Counter()
    cases: Counter[str] = Counter()
    for case in ElementTree.parse(given.report).iter("testcase"):
        path = case.attrib["file"]
        name = "/".join(Path(path).parts[:2]) if given.folders else path
        seconds[name] += float(case.attrib["time"])  # type: ignore[assignment]
        cases[name] += 1
    rows = [(name, cases[name], f"{spent:.1f}") for name, spent in seconds.most_common(given.most)]
    sys.stdout.write(table(("tests", "cases", "seconds"), rows) + "\n")


if __name__ == "__main__":
    main()
