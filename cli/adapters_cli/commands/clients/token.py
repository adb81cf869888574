"""`adapters token`: a bearer token for the OpenAI path of endpoints."""

from datetime import timedelta
from typing import Annotated

import typer

from adapters_cli.aws.account import account_of

EXAMPLES = """
# A token for 15 minutes.
adapters token

# For any client of OpenAI's API.
export OPENAI_API_KEY="$(adapters token --minutes 60)"
"""


def token(
    context: typer.Context,
    minutes: Annotated[
        int, typer.Option(metavar="N", min=1, max=720, help="How long the token is valid.")
    ] = 15,
) -> None:
    """Print a bearer token for the addresses that `adapters describe` shows.

    It is signed on this machine and sent nowhere. Whoever has it may send what you may send.
    """
    typer.echo(account_of(context).bearer_auth(timedelta(minutes=minutes)).token())
