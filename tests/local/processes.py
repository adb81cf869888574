"""Processes that run, as Linux shows them in /proc."""

import os
from pathlib import Path

import pytest

needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at processes in /proc")


def processes_of(marker: Path) -> list[str]:
    """The command lines of running processes that have a path in them or in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            running = f"{marker}".encode() in command + (folder / "environ").read_bytes()
        except OSError:
            continue
        if running and folder.name != str(os.getpid()):
            found.append(command.replace(b"\0", b" ").decode())
    return found
