"""Runs untrusted regular expressions, which may never end on the wrong text."""

import json
import subprocess
import sys

MAX_SEARCH_SECONDS = 2.0

# Pattern and text go through standard input, as an argument holds no NUL and at most 128 KiB.
_SEARCH = "import json, re, sys; sys.exit(0 if re.search(*json.load(sys.stdin)) else 3)"


def matches(pattern: str, text: str, *, seconds: float = MAX_SEARCH_SECONDS) -> bool:
    """Search a text for a regular expression. A search that takes longer than `seconds` counts as no match.

    The search runs in its own process, as Python's `re` blocks all threads and cannot be stopped. Raises
    ChildProcessError if that process is killed, for example for want of memory.
    """
    command = [sys.executable, "-I", "-S", "-c", _SEARCH]
    given = json.dumps([pattern, text]).encode()
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return False
    if done.returncode < 0:
        raise ChildProcessError(f"the search for {pattern[:200]!r} was ended by signal {-done.returncode}")
    return done.returncode == 0
