"""The entry point of the `adapters` command."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from adapters_cli.commands.apply import apply
from adapters_cli.commands.capacity import capacity
from adapters_cli.commands.check import check
from adapters_cli.commands.history import history
from adapters_cli.commands.import_ import import_
from adapters_cli.commands.invoke import invoke
from adapters_cli.commands.orders import prune, retry, rollback
from adapters_cli.commands.plan import plan
from adapters_cli.commands.publish import publish
from adapters_cli.commands.pull import pull
from adapters_cli.commands.status import status

_NOBODY_READS = 141
"""What a shell says of a command that ended as the reader of its pipe had gone: 128 + SIGPIPE."""


@contextmanager
def _reader_may_go() -> Iterator[None]:
    """End quietly where nobody reads on, as with `| head`."""
    try:
        yield
    except (BrokenPipeError, SystemExit) as error:
        # Rich makes a SystemExit of it.
        if not isinstance(error, BrokenPipeError) and not isinstance(error.__context__, BrokenPipeError):
            raise
        # What is still to be written when Python ends has to go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_NOBODY_READS) from None


class _Commands(TyperGroup):
    """The commands: what holds for every one, whatever it does."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the command line; `--help` writes."""
        with _reader_may_go():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with _reader_may_go():
            return super().invoke(ctx)


app = typer.Typer(
    name="adapters",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # The docstrings of commands are texts with paragraphs, not with lines.
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (status, plan, apply, history, retry, rollback, prune):
    app.command()(command)
app.command("import")(import_)
app.command()(check)
app.command()(invoke)
app.command()(capacity)
app.command()(publish)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"adapters {version('cdk-multi-adapter-inference')}")
        raise typer.Exit


app.command()(pull)


@app.callback()
def adapters(
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Work with the LoRA adapters of a SageMaker endpoint.

    Ends with 0 if all is well, with 1 if an adapter failed or something is refused, with 2 on wrong usage,
    with 3 while something is pending, and with 4 if nobody could be asked: no region, credentials, network
    or permission, or no fleet.
    """


def main() -> None:
    """Run the command."""
    try:
        app(prog_name="adapters")
    finally:
        # What it was to do is done or told. Python would print where in its own ending Ctrl-C met it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
