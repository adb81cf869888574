"""What commands write: rows in a pipe, and text on a terminal."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from typer.testing import Result


def rows(result: Result) -> list[list[str]]:
    return [line.split("\t") for line in result.stdout.splitlines()]


def shown(
    *arguments: str | Path,
    columns: int = 100,
    environment: Mapping[str, str] = os.environ,
    errors: bool = False,
    code: int = 0,
) -> str:
    """Run a command on a terminal, to end with `code`. Return what it shows, without the styles.

    errors:
        Whether the terminal gets its errors as well.
    """
    terminal, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "adapters_cli", *map(str, arguments)],
        stdout=child,
        stderr=child if errors else subprocess.DEVNULL,
        env={**environment, "COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "xterm"},
    )
    os.close(child)
    written = b""
    try:
        while data := os.read(terminal, 4096):
            written += data
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(terminal)
    assert process.wait() == code
    return re.sub(r"\x1b\[[0-9;]*m", "", written.decode().replace("\r\n", "\n"))
