"""The entry point of the `adapters` command, and the list of its commands."""

import signal
from typing import Annotated

import typer

from adapters_cli.command_group import MARKUP_MODE, CommandGroup, CommandModule
from adapters_cli.product import product_version

CommandGroup.modules = {
    "status": CommandModule(module="status", summary="Show the state of every adapter."),
    "describe": CommandModule(
        module="describe",
        summary="Show an adapter: its version, state, owner, evaluation, history, and the address that"
        " clients call.",
    ),
    "list": CommandModule(
        module="list_",
        summary="List the components of every endpoint: those of fleets, of stacks, and foreign ones.",
    ),
    "top": CommandModule(
        module="top",
        summary="Show the load of every adapter, live: requests, errors, latency and tier of memory.",
    ),
    "usage": CommandModule(
        module="usage", summary="Show the requests, tokens and cost of every adapter of a fleet."
    ),
    "logs": CommandModule(module="logs", summary="Show what an adapter, its base model and its fleet log."),
    "plan": CommandModule(
        module="plan",
        summary="Show what a manifest would change on the live endpoint. Nothing is written.",
    ),
    "apply": CommandModule(
        module="apply", summary="Write the fleet's manifest in S3 and wait until it is in force."
    ),
    "remove": CommandModule(module="remove", summary="Remove adapters from a manifest."),
    "history": CommandModule(
        module="history",
        summary="Show the events of an adapter, or every change of the manifest; newest first.",
    ),
    "retry": CommandModule(
        module="retry",
        summary="Try failed adapters again, without changing the manifest. Give names, or --failed.",
    ),
    "rollback": CommandModule(
        module="rollback",
        summary="Serve the last good version of an adapter, until the manifest names another than the present"
        " one.",
    ),
    "prune": CommandModule(
        module="prune",
        summary="List or delete orphans: components with the fleet's tag that no manifest declares.",
    ),
    "import": CommandModule(
        module="import_",
        summary="Write a manifest of the adapters on an endpoint that belong to no fleet.",
    ),
    "preflight": CommandModule(
        module="preflight",
        summary="Check an account before a deployment of an environment. Nothing is written.",
    ),
    "check": CommandModule(
        module="check",
        summary="Check adapters against every rule of archives, LoRA, the engine and the base model.",
    ),
    "invoke": CommandModule(
        module="invoke",
        summary="Send a prompt to the base model and its adapters, and show the answers side by side.",
    ),
    "compare": CommandModule(
        module="compare",
        summary="Show the answers of the base model and of adapters side by side, with their differences"
        " marked.",
    ),
    "evaluate": CommandModule(
        module="evaluate",
        summary="Ask adapters and their base model the same items, score the answers, and say what differs.",
    ),
    "url": CommandModule(
        module="url",
        summary="Show the base URL and the model with which a client of OpenAI's API talks to adapters.",
    ),
    "token": CommandModule(
        module="token", summary="Print a bearer token for the addresses that `adapters url` shows."
    ),
    "capacity": CommandModule(
        module="capacity",
        summary="Show what fits into the accelerators' memory, and which adapters are in which tier.",
    ),
    "benchmark": CommandModule(
        module="benchmark",
        summary="Load adapters and their base model, and compare latency and throughput.",
    ),
    "publish": CommandModule(
        module="publish",
        summary="Check adapters, upload those that are not in S3 yet, and write or update a manifest of"
        " them.",
    ),
    "preview": CommandModule(
        module="preview",
        summary="Bring an adapter up under a throw-away name on a real endpoint, try it there, and take it"
        " away.",
    ),
    "pull": CommandModule(
        module="pull", summary="Copy a model from the hub to S3, to the place where a HubModel looks for it."
    ),
}
"""Summaries repeat the docstrings, whose modules `--help` does not import; a test compares them."""

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
