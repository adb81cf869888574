"""The entry point of the `adapters` command."""

import typer

from adapters_cli.invoke import invoke

app = typer.Typer(name="adapters", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(invoke)


@app.callback()
def adapters() -> None:
    """Work with the LoRA adapters of a SageMaker endpoint."""


def main() -> None:
    """Run the command."""
    app()
