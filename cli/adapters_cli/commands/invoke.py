"""`adapters invoke`: send one prompt to adapters of a fleet, or to components of an endpoint."""

import sys
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.near_names import did_you_mean
from adapter_fleet.serving.completions import PromptRequest
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.components import endpoint_names
from adapters_cli.fleets.adapter_lookup import ComponentOption, find_components
from adapters_cli.fleets.fleet_lookup import FleetOption, StackOption, TableOption
from adapters_cli.output.answers import ComponentAnswer
from adapters_cli.output.errors import reported_errors
from adapters_cli.output.exit_codes import NO_ANSWER
from adapters_cli.output.text import print_error

_NO_ENDPOINT = " not found. (ValidationError)"
"""The end of SageMaker's answer for an endpoint that does not exist."""

EXAMPLES = """
# Ask two adapters of a fleet.
adapters invoke acme globex 'Hello' --stack Tenants

# Ask the base model as well, and read along.
adapters invoke acme 'Hello' --base --stream --stack Tenants

# Ask a component of an endpoint.
adapters invoke my-endpoint 'Hello' -c llm-acme
"""


def invoke(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            default_factory=list,
            show_default=False,
            help="Adapters of the fleet; with --component alone, the endpoint.",
        ),
    ],
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="The prompt; - reads it from standard input.")
    ],
    component: ComponentOption = None,
    base: Annotated[bool, typer.Option("--base", help="Ask the fleet's base model, too.")] = False,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    stream: Annotated[bool, typer.Option("--stream", help="Show the answers as they are written.")] = False,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 100,
    temperature: Annotated[
        float, typer.Option(min=0, help="0 gives the most likely answer, the same each time.")
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Write each answer as a line of JSON.")] = False,
) -> None:
    """Send a prompt to the base model and its adapters, and show the answers side by side.

    Ends with 1 if one of them does not answer, and with 4 if none could be asked.
    """
    # Imported here: botocore takes long, and `--help` does without.
    from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint
    from adapters_cli.aws.shown_answers import show_answers

    with reported_errors():
        account = account_of(context)
        asked = find_components(
            account, names, component or [], base=base, stack=stack, fleet=fleet, table=table_name
        )
        connected = RuntimeEndpoint.connect(asked.endpoint, account)
    request = PromptRequest(
        prompt=sys.stdin.read() if prompt == "-" else prompt,
        max_tokens=max_new_tokens,
        temperature=temperature,
    )
    answers = [ComponentAnswer(component=component, name=name) for component, name in asked.names.items()]
    show_answers(connected, request, answers, stream=stream, as_json=as_json)
    if asked.base is None and all(_NO_ENDPOINT in (answer.error or "") for answer in answers):
        _tell_meant_endpoint(account, asked.endpoint)
    if all(answer.unasked for answer in answers):
        raise typer.Exit(NO_ANSWER)
    if any(answer.error is not None for answer in answers):
        raise typer.Exit(1)


def _tell_meant_endpoint(account: Account, endpoint: str) -> None:
    """Name the endpoint that may be meant, if this one does not exist."""
    try:
        names = endpoint_names(account)
    except (BotoCoreError, ClientError):
        return  # the caller may not list them
    if endpoint not in names:
        print_error(f"there is no endpoint '{endpoint}'{did_you_mean(endpoint, names)}")
