"""The entry point of the `adapters` command, and the list of its commands."""

import signal
from typing import Annotated

import typer

from adapters_cli.command_group import MARKUP_MODE, CommandGroup, CommandModule, Panel
from adapters_cli.product import product_version

CommandGroup.modules = {
    "check": CommandModule(panel=Panel.TRAIN),
    "capacity": CommandModule(panel=Panel.TRAIN),
    "publish": CommandModule(panel=Panel.TRAIN),
    "preview": CommandModule(panel=Panel.TRAIN),
    "pull": CommandModule(panel=Panel.TRAIN),
    "preflight": CommandModule(panel=Panel.DEPLOY),
    "plan": CommandModule(panel=Panel.DEPLOY, of_fleet=True),
    "apply": CommandModule(panel=Panel.DEPLOY, of_fleet=True),
    "remove": CommandModule(panel=Panel.DEPLOY, of_fleet=True),
    "promote": CommandModule(panel=Panel.DEPLOY, of_fleet=True),
    "rollback": CommandModule(panel=Panel.DEPLOY, of_fleet=True),
    "prune": CommandModule(panel=Panel.DEPLOY, of_fleet=True, of_endpoint=True),
    "import": CommandModule(module="import_", panel=Panel.DEPLOY, of_fleet=True, of_endpoint=True),
    "status": CommandModule(panel=Panel.LOOK, of_fleet=True),
    "describe": CommandModule(panel=Panel.LOOK, of_fleet=True),
    "probe": CommandModule(panel=Panel.LOOK, of_fleet=True),
    "list": CommandModule(module="list_", panel=Panel.LOOK, of_endpoint=True),
    "usage": CommandModule(panel=Panel.LOOK, of_fleet=True),
    "history": CommandModule(panel=Panel.LOOK, of_fleet=True),
    "logs": CommandModule(panel=Panel.LOOK, of_fleet=True),
    "evaluate": CommandModule(panel=Panel.EVALUATE, of_fleet=True, of_endpoint=True),
    "benchmark": CommandModule(panel=Panel.EVALUATE, of_fleet=True, of_endpoint=True),
    "invoke": CommandModule(panel=Panel.CLIENTS, of_fleet=True, of_endpoint=True),
    "routes": CommandModule(panel=Panel.CLIENTS, of_fleet=True),
    "token": CommandModule(panel=Panel.CLIENTS),
}

CommandGroup.first_examples = {
    "adapters list": "which endpoints and adapters are there?",
    "adapters status --stack STACK": "how is each adapter of a fleet?",
    "adapters check out/acme": "would an adapter of yours be served?",
}

app = typer.Typer(
    name="adapters",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP_MODE,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"adapters {product_version()}")
        raise typer.Exit


@app.callback()
def adapters(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Work with the LoRA adapters of a SageMaker endpoint."""


def main() -> None:
    """Run the command."""
    try:
        app(prog_name="adapters")
    finally:
        # The command has ended. Ctrl-C would print a traceback of Python's own shutdown.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
