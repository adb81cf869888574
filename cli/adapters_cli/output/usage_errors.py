"""The one form of usage errors: a line that says what was wrong, then which help to read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from adapters_cli.output.exit_codes import WRONG_USAGE

_NUMBERS = {"int_parsing": "a whole number", "float_parsing": "a number"}


@contextmanager
def reported_usage_errors(command: Callable[[], str]) -> Iterator[None]:
    """Print a usage error on standard error, and end with WRONG_USAGE.

    `command` returns the command that was asked for, such as 'adapters status'.
    """
    try:
        yield
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        # Imported here: most command lines are right.
        from adapters_cli.output.text import print_error

        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else command()
        print_error(_text(error))
        typer.echo(f"Try '{path} --help'", err=True)
        raise typer.Exit(WRONG_USAGE) from None


def _text(error: Any) -> str:
    """Return what is wrong, in our own words or in typer's."""
    if isinstance(error, typer.BadParameter) and error.param is None:
        return str(error.message)
    for found in getattr(error.__cause__, "errors", list)():  # of pydantic, which leaves out the value
        if found["type"] in _NUMBERS:
            error.message = f"it should be {_NUMBERS[found['type']]}, got {found['input']!r}"
    message = str(error.format_message())
    if type(error).__name__ == "NoSuchOption" and error.ctx.parent is None and not error.possibilities:
        message += f"; an option of a command comes behind it: adapters COMMAND {error.option_name}"
    if "unexpected extra argument" in message:
        context, command = error.ctx, error.ctx.command
        options = (f"{param.opts[0]} {param.metavar}" for param in command.params if param.metavar)
        option = next(option for option in options if option.startswith("-"))
        pieces = " ".join(command.collect_usage_pieces(context))
        message += f"; {context.command_path} takes {pieces}, with options such as {option}"
    return (message[:1].lower() + message[1:]).rstrip(".")


def is_given(context: typer.Context, name: str) -> bool:
    """Return True if the command line has the option of this parameter, also with its default value."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def unknown_command(name: str, known: list[str]) -> str:
    """Return the error of a command that does not exist."""
    # Imported here: most command lines are right, and `adapters --help` imports no room but this one.
    from adapter_fleet.common.naming import did_you_mean

    return f"there is no command '{name}'{did_you_mean(name, known)}"
