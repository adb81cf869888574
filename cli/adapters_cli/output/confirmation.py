"""The confirmation of a person before a change that cannot be undone."""

import sys

import typer

from adapters_cli.output.errors import CommandError


def confirm(question: str, otherwise: str, *, yes: bool) -> None:
    """Ask a question on standard error. `yes` answers it in advance.

    Raises CommandError with `otherwise` if the answer is no, and if standard input is no terminal.
    """
    check_terminal(yes=yes)
    if not yes and not typer.confirm(question, err=True):
        raise CommandError(otherwise)


def check_terminal(*, yes: bool) -> None:
    """Raise CommandError if nobody can be asked, before a command writes anything."""
    if not yes and not sys.stdin.isatty():
        raise CommandError("there is no terminal to ask on; --yes confirms")
