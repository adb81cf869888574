"""How the suite itself behaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

INTERRUPTING = (
    "tests/cli/test_main.py::test_interrupt_while_the_command_is_imported_ends_it_quietly[adapters_cli.main]"
)


def test_tests_that_interrupt_commands_pass_in_the_background_of_a_script() -> None:
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", INTERRUPTING]
    # A shell without job control starts what it puts into the background with SIGINT ignored.
    done = subprocess.run(
        ["sh", "-c", '"$@" & wait $!', "sh", *pytest_command],
        cwd=Path(__file__).parents[1],
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
