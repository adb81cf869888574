"""The one form of usage errors: what was wrong, where and what was got, then which help to read."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from adapters_cli.output.exit_codes import WRONG_USAGE

_PARSER_ERROR: type[Any] = typer.BadParameter.__bases__[0]
"""What typer raises for wrong usage. It has no public name."""

_EXTRA = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((?P<extra>.*)\)")
_CHOICES = re.compile(r"(?:Value error, )?(?P<got>'.*') is not one of (?P<known>'.*')\.?")
_INPUT = re.compile(r"Input (?P<should>should be [^,]*)")


@contextmanager
def reported_usage_errors(command: Callable[[], str]) -> Iterator[None]:
    """Print a usage error on standard error, and end with WRONG_USAGE.

    `command` returns the command that was asked for, such as 'adapters status'.
    """
    try:
        yield
    except _PARSER_ERROR as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        # Imported here: most command lines are right.
        from adapters_cli.output.text import print_error

        path = error.ctx.command_path if error.ctx is not None else command()
        print_error(_text(error))
        typer.echo(f"Try '{path} --help'", err=True)
        raise typer.Exit(WRONG_USAGE) from None


def _text(error: Any) -> str:
    if hasattr(error, "option_name") and hasattr(error, "possibilities"):
        return f"there is no option '{error.option_name}'{_meant(error.option_name, _options(error.ctx))}"
    if hasattr(error, "param_type"):
        return _missing(error)
    if getattr(error, "param", None) is not None:
        return _wrong_value(error)
    extra = _EXTRA.fullmatch(error.message)
    if extra is not None:
        several = "arguments" if " " in extra["extra"] else "argument"
        return f"there should be no more {several}, got '{extra['extra']}'"
    if not isinstance(error, typer.BadParameter):
        return _lower(error.format_message())
    return str(error.message)


def unknown_command(name: str, known: list[str]) -> str:
    """Return the error of a command that does not exist."""
    return f"there is no command '{name}'{_meant(name, known)}"


def _missing(error: Any) -> str:
    kind = error.param_type or error.param.param_type_name
    return f"{kind} {error.param_hint or error.param.get_error_hint()} is missing"


def _wrong_value(error: Any) -> str:
    """Return the error of a value: typer tells what is wrong, and only its cause has what was got."""
    where = error.param_hint or error.param.get_error_hint()
    choices = _CHOICES.fullmatch(error.message)
    if choices is not None:
        known = re.findall(r"'([^']*)'", choices["known"])
        got = choices["got"]
        return f"{where} should be one of {', '.join(known)}, got {got}{_meant(got.strip(chr(39)), known)}"
    should = _INPUT.match(error.message)
    if should is None:
        return f"{where}: {_lower(error.message)}"
    return f"{where} {should['should']}, got {_got(error)!r}"


def _got(error: Any) -> Any:
    return error.__cause__.errors()[0]["input"]


def _options(context: Any) -> list[str]:
    options = [name for param in context.command.get_params(context) for name in param.opts]
    return [name for name in options if name.startswith("--")]


def _meant(name: str, known: list[str]) -> str:
    # Imported here: most command lines are right, and `adapters --help` imports no room but this one.
    from adapter_fleet.common.near_names import did_you_mean

    return did_you_mean(name, known)


def _lower(message: str) -> str:
    return (message[:1].lower() + message[1:]).rstrip(".")
