"""Asking a person before something is done that cannot be taken back."""

import sys

import typer

from adapters_cli.aws.account import CommandError


def confirm(question: str, otherwise: str, *, yes: bool) -> None:
    """Ask on standard error; CommandError with `otherwise` where the answer is no.

    `yes` answers in advance. CommandError, too, where nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("nobody can be asked here; --yes confirms")
    if not typer.confirm(question, err=True):
        raise CommandError(otherwise)
