"""`adapters token`: a bearer token for the OpenAI path of endpoints."""

from datetime import timedelta
from typing import Annotated

import typer

from adapters_cli.aws.account import account_of
from adapters_cli.output.errors import option_errors, reported_errors


def token(
    context: typer.Context,
    minutes: Annotated[int, typer.Option(help="How long the token is valid; at most 720.")] = 15,
) -> None:
    """Print a bearer token for the addresses that `adapters url` shows.

    It is signed on this machine and sent nowhere. Whoever has it may send what you may send: keep it out of
    logs and files.
    """
    with reported_errors():
        account = account_of(context)
        with option_errors():
            auth = account.bearer_auth(timedelta(minutes=minutes))
        typer.echo(auth.token())
