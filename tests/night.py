"""Runs every suite that CI does not run: `make nightly`, or `python -m tests.night SUITE...`.

The suites of the Makefile's `NIGHT` run one after the other, and a failure stops none of them.
`build/night.json` has what ended: the next call with the same code goes on, with the same seed.
`SEED=7 make nightly` repeats one. `tests/nights.md` has the last run of each suite.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.guides import code_commit

LOGS, STATE, PAGE = Path("build/night"), Path("build/night.json"), Path("tests/nights.md")
MOST_SECONDS = 40 * 60
SUITES = re.search(r"^NIGHT = (.*)$", Path("Makefile").read_text(), re.MULTILINE)
SUMMARY = re.compile(r"^=* ?(\d+ \w+.*) in [\d.]+s", re.MULTILINE)
ELSEWHERE = re.compile(r"^cannot run here: (.*)$", re.MULTILINE)
ROW = re.compile(r"^\| `([\w-]+)` \|.*$", re.MULTILINE)
HEAD = """# The last run of each suite

`make nightly` wrote this page. `make qa SUITE=NAME` runs one suite; [what each one tries](../docs/proven.md).

| suite | outcome | tests | minutes | commit | day | seed |
|---|---|---|---|---|---|---|
"""


def begun() -> dict[str, Any]:
    """Return the night that was begun with this code, or a new one."""
    commit, seed = code_commit(), os.environ.get("SEED")
    night: dict[str, Any] = json.loads(STATE.read_text()) if STATE.is_file() else {}
    if commit.endswith("-dirty") or night.get("commit") != commit or seed not in (None, str(night["seed"])):
        return {"commit": commit, "seed": int(seed or random.randrange(2**31)), "suites": {}}
    return night


def run(suite: str, seed: int) -> dict[str, Any]:
    """Run a suite; return its outcome, its seconds, and how many tests had which result."""
    log, begin = LOGS / f"{suite}.log", time.monotonic()
    with log.open("wb") as output:
        command = ["make", f"qa-{suite}", f"SEED={seed}"]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            outcome = "passed" if process.wait(MOST_SECONDS) == 0 else "failed"
        except subprocess.TimeoutExpired:
            outcome = f"cut off after {MOST_SECONDS // 60} minutes"
        finally:
            # Servers that tests have started end, too, also if somebody interrupts the night.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    text = log.read_text(errors="replace")
    if outcome == "passed" and (elsewhere := ELSEWHERE.search(text)):
        outcome = elsewhere[0]
    counts: Counter[str] = Counter()
    for summary in SUMMARY.findall(text):
        counts.update({what: int(number) for number, what in re.findall(r"(\d+) (\w+)", summary)})
    del counts["deselected"]
    tests = ", ".join(f"{number} {what}" for what, number in counts.most_common())
    return {"outcome": outcome, "tests": tests, "seconds": time.monotonic() - begin}


def record(night: dict[str, Any]) -> None:
    """Put the rows of a night into the page. A suite that did not run keeps its last one."""
    rows = {row[1]: row[0] for row in ROW.finditer(PAGE.read_text() if PAGE.is_file() else "")}
    for suite, done in night["suites"].items():
        cells = [f"`{suite}`", done["outcome"], done["tests"], f"{done['seconds'] / 60:.1f}"]
        rows[suite] = f"| {' | '.join([*cells, night['commit'], done['day'], str(night['seed'])])} |"
    PAGE.write_text(HEAD + "".join(f"{rows[suite]}\n" for suite in suites() if suite in rows))


def suites() -> list[str]:
    assert SUITES is not None
    return SUITES[1].split()


def main(names: list[str]) -> int:
    """Run what has not ended yet; return 1 if a suite failed."""
    LOGS.mkdir(parents=True, exist_ok=True)
    night = begun()
    for suite in suites():
        if suite in night["suites"] or (names and suite not in names):
            continue
        done = run(suite, night["seed"])
        night["suites"][suite] = done | {"day": f"{datetime.now(UTC):%Y-%m-%d}"}
        STATE.write_text(json.dumps(night, indent=2))
        sys.stdout.write(f"{suite:14} {done['seconds']:6.0f} s  {done['outcome']}: {done['tests']}\n")
        sys.stdout.flush()
    record(night)
    sys.stdout.write(f"commit {night['commit']}, SEED={night['seed']}\n")
    ended = [done["outcome"].startswith(("passed", "cannot run here")) for done in night["suites"].values()]
    return int(not all(ended))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
