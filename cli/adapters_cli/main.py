"""The entry point of the `adapters` command."""

import typer

from adapters_cli.apply import apply
from adapters_cli.history import history
from adapters_cli.importing import import_
from adapters_cli.invoke import invoke
from adapters_cli.orders import retry, rollback
from adapters_cli.plan import plan
from adapters_cli.pull import pull
from adapters_cli.status import status

app = typer.Typer(name="adapters", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (status, plan, apply, history, retry, rollback):
    app.command()(command)
app.command("import")(import_)
app.command()(invoke)
app.command()(pull)


@app.callback()
def adapters() -> None:
    """Work with the LoRA adapters of a SageMaker endpoint."""


def main() -> None:
    """Run the command."""
    app(prog_name="adapters")
