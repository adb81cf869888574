"""Runs commands of the AWS CLI in this process: its start would take most of the time."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

from awscli.clidriver import create_clidriver

from tests.clients.calls import Calls


class CommandError(Exception):
    """A command that ended with another status than 0."""


class CommandLine:
    """The commands of the AWS CLI as calls."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def __call__(self, command: str, *arguments: str, **options: Any) -> Any:
        """Run a command and report it by its name; return what it prints, or None if it fails.

        An option is given as text, or as JSON if it is a list or a dictionary; True stands for a flag.
        """
        with self._calls.call(command):
            return self.run(command, *arguments, **options)

    def run(self, command: str, *arguments: str, **options: Any) -> Any:
        """Run a command without a report; CommandError if it fails."""
        words = [*command.split(), *arguments]
        for name, value in options.items():
            words.append(f"--{name.replace('_', '-')}")
            if value is not True:
                words.append(value if isinstance(value, str) else json.dumps(value))
        printed, errors = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
            try:
                status = create_clidriver().main(words)
            except SystemExit as ended:  # an argument that it does not know
                status = ended.code
        printed.seek(0)
        text = printed.read()
        if status:
            raise CommandError(f"{errors.getvalue().strip()} {text.strip()}".strip())
        return json.loads(text) if text.startswith(("{", "[")) else text
