"""Runs every suite that CI does not run: `make nightly`, or `python -m tests.night SUITE...`.

The suites of `.github/workflows/scheduled.yml` run one after the other, and a failure stops none of them.
`build/night.json` has what ended: the next call with the same code goes on, with the same seed, and a suite
that is named runs again. `SEED=7 make nightly` repeats one. `tests/nights.md` has the last run of each suite.
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

from tests.guides import code_commit, table

LOGS, STATE, PAGE = Path("build/night"), Path("build/night.json"), Path("tests/nights.md")
MOST_SECONDS = 40 * 60
SUITES = re.findall(r"^ +- qa-([\w-]+)$", Path(".github/workflows/scheduled.yml").read_text(), re.MULTILINE)
TRIES = dict(re.findall(r"^qa-([\w-]+):.*## (.*)$", Path("Makefile").read_text(), re.MULTILINE))
SUMMARY = re.compile(r"^=* ?(\d+ \w+.*) in [\d.]+s", re.MULTILINE)
RESULT = re.compile(r"(\d+) (passed|failed|skipped|xfailed|errors?)\b")
ELSEWHERE = re.compile(r"^cannot run here: .*$", re.MULTILINE)
ROW = re.compile(r"^\| `([\w-]+)` \| (.*) \|$", re.MULTILINE)
HEAD = ("suite", "what it tries", "outcome", "tests", "minutes", "commit", "day", "seed")


def begun() -> dict[str, Any]:
    """Return the night that was begun with this code, or a new one."""
    commit, seed = code_commit(), os.environ.get("SEED")
    if commit.endswith("-dirty"):
        raise SystemExit(f"a night tries a commit: the code is not that of {commit.removesuffix('-dirty')}")
    night: dict[str, Any] = json.loads(STATE.read_text()) if STATE.is_file() else {}
    if night.get("commit") != commit or seed not in (None, str(night["seed"])):
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
    counts: Counter[str] = Counter()
    for summary in SUMMARY.findall(text):
        counts.update({what: int(number) for number, what in RESULT.findall(summary)})
    tests = ", ".join(f"{number} {what}" for what, number in counts.most_common())
    elsewhere = ELSEWHERE.findall(text)
    outcome = "; ".join([outcome] * (outcome != "passed" or bool(tests) or not elsewhere) + elsewhere)
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    return {"outcome": outcome, "tests": tests, "seconds": time.monotonic() - begin, "day": day}


def record(night: dict[str, Any]) -> None:
    """Keep a night, and put its rows into the page. A suite that did not run keeps its last one."""
    unfinished = STATE.with_suffix(".new")
    unfinished.write_text(json.dumps(night, indent=2))
    unfinished.replace(STATE)
    last = {suite: cells.split(" | ")[1:] for suite, cells in ROW.findall(PAGE.read_text())}
    rows = {}
    for suite in (*SUITES, "aws"):
        cells = last.get(suite, ["not run yet", *[""] * 5])
        if done := night["suites"].get(suite):
            minutes = f"{done['seconds'] / 60:.1f}"
            cells = [done["outcome"], done["tests"], minutes, night["commit"], done["day"], night["seed"]]
        rows[suite] = [f"`{suite}`", TRIES[suite], *cells]
    told = "`make nightly` wrote this page. A commit is the newest one that changed more than pages."
    page = ["# The last run of each suite", told, table(HEAD, list(rows.values()))]
    PAGE.write_text("\n\n".join(page) + "\n")


def main(names: list[str]) -> int:
    """Run what has not ended yet, or what is named; return 1 if one of these failed."""
    if unknown := set(names).difference(SUITES):
        raise SystemExit(f"the night has {', '.join(SUITES)}; got {', '.join(sorted(unknown))}")
    # A night that is told to end ends the suite, too.
    for ends in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ends, lambda *_: sys.exit(1))
    LOGS.mkdir(parents=True, exist_ok=True)
    night = begun()
    for suite in names or [suite for suite in SUITES if suite not in night["suites"]]:
        done = night["suites"][suite] = run(suite, night["seed"])
        if code_commit() != night["commit"]:
            raise SystemExit(f"the code is not that of {night['commit']} any more; see {LOGS}/{suite}.log")
        record(night)
        sys.stdout.write(f"{suite:14} {done['seconds']:6.0f} s  {done['outcome']}: {done['tests']}\n")
        sys.stdout.flush()
    sys.stdout.write(f"commit {night['commit']}, SEED={night['seed']}\n")
    outcomes = [night["suites"][suite]["outcome"] for suite in names or SUITES]
    return int(not all(outcome.startswith(("passed", "cannot run here")) for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
