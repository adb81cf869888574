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
from adapters_cli.commands.benchmark import benchmark
from adapters_cli.commands.capacity import capacity
from adapters_cli.commands.check import check
from adapters_cli.commands.compare import compare
from adapters_cli.commands.describe import describe
from adapters_cli.commands.evaluate import evaluate
from adapters_cli.commands.history import history
from adapters_cli.commands.import_ import import_
from adapters_cli.commands.invoke import invoke
from adapters_cli.commands.plan import plan
from adapters_cli.commands.preview import preview
from adapters_cli.commands.prune import prune
from adapters_cli.commands.publish import publish
from adapters_cli.commands.pull import pull
from adapters_cli.commands.retry import retry
from adapters_cli.commands.rollback import rollback
from adapters_cli.commands.status import status
from adapters_cli.commands.token import token
from adapters_cli.commands.url import url
from adapters_cli.output.exit_codes import BROKEN_PIPE


@contextmanager
def _quiet_broken_pipe() -> Iterator[None]:
    """End without an error if the reader of the output has gone, as with `| head`."""
    try:
        yield
    except (BrokenPipeError, SystemExit) as error:
        # Rich turns a broken pipe into a SystemExit.
        if not isinstance(error, BrokenPipeError) and not isinstance(error.__context__, BrokenPipeError):
            raise
        # Python still writes what is buffered when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(BROKEN_PIPE) from None


class _Commands(TyperGroup):
    """The commands, which all end quietly on a broken pipe."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the command line. `--help` prints already here."""
        with _quiet_broken_pipe():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with _quiet_broken_pipe():
            return super().invoke(ctx)


app = typer.Typer(
    name="adapters",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Docstrings of commands have paragraphs. Their line ends mean nothing.
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (status, describe, plan, apply, history, retry, rollback, prune):
    app.command()(command)
app.command("import")(import_)
app.command()(check)
app.command()(invoke)
app.command()(compare)
app.command()(evaluate)
app.command()(url)
app.command()(token)
app.command()(capacity)
app.command()(benchmark)
app.command()(publish)
app.command()(preview)


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

    Ends with 0 for success, with 1 if an adapter failed or something is refused, and with 2 for wrong usage.
    Ends with 3 while something is pending. Ends with 4 if AWS gave no answer: no region, credentials, network
    or permission, or no fleet.
    """


def main() -> None:
    """Run the command."""
    try:
        app(prog_name="adapters")
    finally:
        # The command has ended. Ctrl-C would print a traceback of Python's own shutdown.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
