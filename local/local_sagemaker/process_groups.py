"""The process groups of model servers, on record in a folder, so that none outlives the cloud."""

import contextlib
import os
import signal
import time
from pathlib import Path

# A process gives its memory back before it is gone.
_END_SECONDS = 5.0
_POLL_SECONDS = 0.005


class ProcessGroups:
    """Groups that were added and not killed yet. Processes that share the state folder share the record.

    A server may have child processes that stay when it is killed, as vLLM has. They are in its group, which
    is not the cloud's: of several servers, one alone can be ended with all its children.
    """

    def __init__(self, state: Path):
        self._folder = state / "process-groups"

    def add(self, leader: int) -> None:
        """Record the group of a process that was started as its leader."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.joinpath(str(leader)).touch()

    def kill(self, leader: int) -> None:
        """Kill what is left of a group, and wait up to 5 s until nothing is."""
        deadline = time.monotonic() + _END_SECONDS
        # Of a group with none but zombies, macOS says that it may not be killed.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            while time.monotonic() < deadline:
                os.killpg(leader, signal.SIGKILL)
                time.sleep(_POLL_SECONDS)
        self._folder.joinpath(str(leader)).unlink(missing_ok=True)

    def kill_all(self) -> None:
        """Kill what is left of every group on record."""
        for record in self._folder.glob("*"):
            self.kill(int(record.name))
