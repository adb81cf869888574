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
    "check": CommandModule(
        panel=_TRAIN,
        summary="Check adapters against every rule of archives, LoRA, the engine and the base model.",
    ),
    "capacity": CommandModule(
        panel=_TRAIN,
        summary="Show what fits into the accelerators' memory, and which adapters are in which tier.",
    ),
    "publish": CommandModule(
        panel=_TRAIN,
        summary="Check adapters, upload those that are not in S3 yet, and write or update a manifest"
        " of them.",
    ),
    "preview": CommandModule(
        panel=_TRAIN,
        summary="Bring an adapter up under a throw-away name on a real endpoint, try it there, and take it"
        " away.",
    ),
    "pull": CommandModule(
        panel=_TRAIN,
        summary="Copy a model from the hub to S3, for BaseModel.from_bucket.",
    ),
    "preflight": CommandModule(
        panel=_DEPLOY,
        summary="Check an account before a deployment of an environment. Nothing is written.",
    ),
    "plan": CommandModule(
        panel=_DEPLOY,
        summary="Show what a manifest would change on the live endpoint. Nothing is written.",
        of_fleet=True,
    ),
    "apply": CommandModule(
        panel=_DEPLOY,
        summary="Write the fleet's manifest in S3 and wait until it is in force; or try adapters again.",
        of_fleet=True,
    ),
    "remove": CommandModule(
        panel=_DEPLOY,
        summary="Remove adapters from a manifest.",
        of_fleet=True,
    ),
    "rollback": CommandModule(
        panel=_DEPLOY,
        summary="Serve the last good version of an adapter, until the manifest names another than the present"
        " one.",
        of_fleet=True,
    ),
    "prune": CommandModule(
        panel=_DEPLOY,
        summary="List or delete orphans: components with the fleet's tag that no manifest declares.",
        of_fleet=True,
        of_endpoint=True,
    ),
    "import": CommandModule(
        module="import_",
        panel=_DEPLOY,
        summary="Write a manifest of the adapters on an endpoint that belong to no fleet.",
        of_fleet=True,
        of_endpoint=True,
    ),
    "status": CommandModule(
        panel=_LOOK,
        summary="Show the state of every adapter.",
        of_fleet=True,
    ),
    "describe": CommandModule(
        panel=_LOOK,
        summary="Show an adapter: its version, state, owner, evaluation, history, and the address that"
        " clients call.",
        of_fleet=True,
    ),
    "list": CommandModule(
        module="list_",
        panel=_LOOK,
        summary="List the components of every endpoint: those of fleets, of stacks, and foreign ones.",
        of_endpoint=True,
    ),
    "usage": CommandModule(
        panel=_LOOK,
        summary="Show the requests and tokens of every adapter of a fleet.",
        of_fleet=True,
    ),
    "history": CommandModule(
        panel=_LOOK,
        summary="Show the events of an adapter, or every change of the manifest; newest first.",
        of_fleet=True,
    ),
    "logs": CommandModule(
        panel=_LOOK,
        summary="Show what an adapter, its base model and its fleet log.",
        of_fleet=True,
    ),
    "evaluate": CommandModule(
        panel=_EVALUATE,
        summary="Ask adapters and their base model the same items, score the answers, and say what differs.",
        of_fleet=True,
        of_endpoint=True,
    ),
    "benchmark": CommandModule(
        panel=_EVALUATE,
        summary="Load adapters and their base model, and compare latency and throughput.",
        of_fleet=True,
        of_endpoint=True,
    ),
    "invoke": CommandModule(
        panel=_CLIENTS,
        summary="Send a prompt to the base model and its adapters, and show the answers side by side.",
        of_fleet=True,
        of_endpoint=True,
    ),
    "token": CommandModule(
        panel=_CLIENTS,
        summary="Print a bearer token for the addresses that `adapters describe` shows.",
    ),
}
"""Summaries repeat the docstrings, whose modules `--help` does not import; a test compares them."""

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


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"adapters {product_version()}")
        raise typer.Exit


@app.callback()
def adapters(
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version.")
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
