"""The entry point of the `adapters` command, and the list of its commands."""

import signal
from typing import Annotated

import typer

from adapters_cli.command_group import MARKUP_MODE, CommandGroup, CommandModule
from adapters_cli.product import product_version

# The groups of the list of commands, in the order in which a person meets them.
_TRAIN = "Train and publish"
_DEPLOY = "Deploy and change"
_LOOK = "Look"
_EVALUATE = "Evaluate and load"
_CLIENTS = "Clients"

CommandGroup.modules = {
    "check": CommandModule(panel=_TRAIN),
    "capacity": CommandModule(panel=_TRAIN),
    "publish": CommandModule(panel=_TRAIN),
    "preview": CommandModule(panel=_TRAIN),
    "pull": CommandModule(panel=_TRAIN),
    "preflight": CommandModule(panel=_DEPLOY),
    "plan": CommandModule(panel=_DEPLOY, of_fleet=True),
    "apply": CommandModule(panel=_DEPLOY, of_fleet=True),
    "remove": CommandModule(panel=_DEPLOY, of_fleet=True),
    "promote": CommandModule(panel=_DEPLOY, of_fleet=True),
    "rollback": CommandModule(panel=_DEPLOY, of_fleet=True),
    "prune": CommandModule(panel=_DEPLOY, of_fleet=True, of_endpoint=True),
    "import": CommandModule(module="import_", panel=_DEPLOY, of_fleet=True, of_endpoint=True),
    "status": CommandModule(panel=_LOOK, of_fleet=True),
    "describe": CommandModule(panel=_LOOK, of_fleet=True),
    "probe": CommandModule(panel=_LOOK, of_fleet=True),
    "list": CommandModule(module="list_", panel=_LOOK, of_endpoint=True),
    "usage": CommandModule(panel=_LOOK, of_fleet=True),
    "history": CommandModule(panel=_LOOK, of_fleet=True),
    "logs": CommandModule(panel=_LOOK, of_fleet=True),
    "evaluate": CommandModule(panel=_EVALUATE, of_fleet=True, of_endpoint=True),
    "benchmark": CommandModule(panel=_EVALUATE, of_fleet=True, of_endpoint=True),
    "invoke": CommandModule(panel=_CLIENTS, of_fleet=True, of_endpoint=True),
    "routes": CommandModule(panel=_CLIENTS, of_fleet=True),
    "token": CommandModule(panel=_CLIENTS),
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
