"""The group of all commands: each one is imported when it runs, and has the options of account and fleet.

`adapters --help` and shell completion import no command, so that they start fast.
"""

import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

from adapters_cli.output.exit_codes import BROKEN_PIPE, MEANINGS
from adapters_cli.output.help_page import HelpfulCommand, once_each, print_block, without_types
from adapters_cli.output.usage_errors import reported_usage_errors, unknown_command

MARKUP_MODE: Literal["markdown"] = "markdown"
"""Docstrings of commands have paragraphs. Their line ends mean nothing."""

_AWS_PANEL = "AWS"
_PLACE_PANEL = "Fleet and endpoint"


class Panel(Enum):
    """The groups of the list of commands, in the order in which a person meets them.

    Each has the folder of its name in `adapters_cli.commands`.
    """

    TRAIN = "Train and publish"
    DEPLOY = "Deploy and change"
    LOOK = "Look"
    EVALUATE = "Evaluate and load"
    CLIENTS = "Clients"

    @property
    def folder(self) -> str:
        """The folder of its commands."""
        return self.name.lower()


@dataclass(frozen=True, kw_only=True)
class CommandModule:
    """What is known of a command before its module of `adapters_cli.commands` is imported.

    of_fleet, of_endpoint:
        True if it has the options that name a fleet, or the one that names an endpoint.
    module:
        The name of its module, and of the function there, if it is not the command's: a word of Python.
    """

    panel: Panel
    of_fleet: bool = False
    of_endpoint: bool = False
    module: str | None = None


class CommandGroup(TyperGroup):
    """The commands, which all end quietly on a broken pipe, and report wrong usage in one form.

    modules:
        The commands by name, in the order of the list of commands.
    first_examples:
        The command lines to try first, and what each one does.
    """

    modules: Mapping[str, CommandModule] = {}
    first_examples: Mapping[str, str] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for command in self.commands.values():
            command.params += _parameters(_account_options)
        lazy = {name: _LazyCommand(name, at) for name, at in self.modules.items()}
        self.commands = {**lazy, **self.commands}
        self.params += _parameters(_account_options)

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the command line. `--help` prints already here."""
        with _quiet_broken_pipe(), reported_usage_errors(lambda: "adapters"):
            return super().make_context(*arguments, **options)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of all commands as the help shows them."""
        return without_types(super().get_params(ctx))

    def make_parser(self, ctx: Any) -> Any:
        """Return the parser, which refuses a second value for an option that takes one."""
        return once_each(super().make_parser(ctx), ctx)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in their order, after a look at what each one does."""
        for command in self.commands.values():
            if isinstance(command, _LazyCommand):
                command.help = command.summary
        return super().list_commands(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command of a command line."""
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            ctx.fail(unknown_command(args[0], list(self.commands)))
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the list of commands, what to try first, and the exit codes."""
        super().format_help(ctx, formatter)
        width = max(map(len, self.first_examples), default=0)
        examples = [f"{line:{width}}  # {purpose}" for line, purpose in self.first_examples.items()]
        print_block("Try first", examples)
        print_block("Exit codes", [f"{code:>3}  {meaning}" for code, meaning in MEANINGS.items()])

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with _quiet_broken_pipe(), reported_usage_errors(lambda: _path(ctx)):
            return super().invoke(ctx)


class _LazyCommand(TyperCommand):
    """A command whose module is imported when its command line is parsed."""

    def __init__(self, name: str, at: CommandModule) -> None:
        super().__init__(name, rich_help_panel=at.panel.value)
        self._at = at
        self._module = at.module or name

    @property
    def summary(self) -> str:
        """The first paragraph of its function's docstring, read from the source: an import takes long."""
        folder = Path(__file__).parent / "commands" / self._at.panel.folder
        source = (folder / f"{self._module}.py").read_text(encoding="utf-8")
        found = re.search(
            rf'^def {self._module}\(.*?^    """(.*?)(\n\n|""")', source, re.DOTALL | re.MULTILINE
        )
        assert found is not None  # every command has a docstring, and a test reads it
        return " ".join(found[1].split())

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the command line of the real command, which is the one that runs."""
        return self._command.make_context(*arguments, **options)

    @cached_property
    def _command(self) -> Any:
        module = importlib.import_module(f"adapters_cli.commands.{self._at.panel.folder}.{self._module}")
        command = _command_of(getattr(module, self._module), self.name)
        command.examples = module.EXAMPLES
        if self._at.of_fleet:
            command.params += _parameters(_fleet_options)
        if self._at.of_endpoint:
            command.params += _parameters(_endpoint_option)
        command.params += _parameters(_account_options)
        return command


def _path(context: Any) -> str:
    """Return the command that runs, as a person writes it."""
    return " ".join(filter(None, (context.command_path, context.invoked_subcommand)))


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


def _command_of(function: Any, name: str | None) -> Any:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=MARKUP_MODE)
    app.command(name, cls=HelpfulCommand)(function)
    return typer.main.get_command(app)


@cache
def _parameters(options: Any) -> tuple[Any, ...]:
    return tuple(_command_of(options, None).params)


def _setting(name: str, metavar: str, about: str, panel: str) -> Any:
    """Return an option that every command may have. The account keeps its value."""

    def choose(context: typer.Context, value: str | None) -> None:
        if value is not None:
            # Imported here: `--help` does without.
            from adapters_cli.aws.account import account_of

            account_of(context).choose(**{name: value})

    return typer.Option(
        f"--{name}",
        metavar=metavar,
        help=about,
        callback=choose,
        expose_value=False,
        rich_help_panel=panel,
        show_default=False,
    )


def _account_options(
    _region: Annotated[
        str | None,
        _setting(
            "region", "REGION", "AWS region; else that of the environment or of the profile.", _AWS_PANEL
        ),
    ] = None,
    _profile: Annotated[
        str | None,
        _setting("profile", "NAME", "Profile of the AWS configuration; else AWS_PROFILE.", _AWS_PANEL),
    ] = None,
) -> None:
    """The options that every command has."""


def _fleet_options(
    _stack: Annotated[
        str | None, _setting("stack", "NAME", "Stack of the fleet; else ADAPTERS_STACK.", _PLACE_PANEL)
    ] = None,
    _fleet: Annotated[
        str | None, _setting("fleet", "NAME", "One of the stack's fleets, if it has several.", _PLACE_PANEL)
    ] = None,
) -> None:
    """The options that every command on a fleet has."""


def _endpoint_option(
    _endpoint: Annotated[
        str | None, _setting("endpoint", "NAME", "Endpoint, for components of no fleet.", _PLACE_PANEL)
    ] = None,
) -> None:
    """The option of commands that look at an endpoint of any owner."""
