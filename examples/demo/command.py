"""The `adapters` command, run as a person runs it: on a terminal, in a process of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A command, the lines that it wrote, those to standard error first, and its exit code."""

    command: str
    lines: Sequence[str]
    code: int


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """Runs `adapters`.

    variables:
        The process's environment; ADAPTERS_STACK in it tells the stack.
    folder:
        Where it runs.
    width:
        Of its terminal, in characters.
    """

    variables: Mapping[str, str]
    folder: Path
    width: int

    def run(self, *arguments: str) -> Ran:
        """Run to the end."""
        terminal, inside = os.openpty()
        process = subprocess.Popen(
            ["adapters", *arguments],
            env={**self.variables, "TERM": "xterm-256color", "COLUMNS": str(self.width)},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=inside,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(inside)
        written = bytearray()
        try:
            while piece := _read(terminal):
                written += piece
        finally:
            os.close(terminal)
        _, said = process.communicate()
        return Ran(
            command=" ".join(("adapters", *arguments)),
            lines=[*said.rstrip().splitlines(), *written.decode().rstrip().splitlines()],
            code=process.returncode,
        )


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that nobody has the other end any more
        return b""
