"""`adapters url`: what a client of OpenAI's API needs to talk to adapters."""

import json
from typing import Annotated

import typer

from adapter_fleet.openai.urls import base_url
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.adapter_lookup import ComponentOption, find_components
from adapters_cli.fleets.fleet_lookup import FleetOption, StackOption, TableOption
from adapters_cli.fleets.name_completion import complete_adapter
from adapters_cli.output.errors import reported_errors
from adapters_cli.output.text import one_line, print_note

TOKEN_HINT = (
    "The API key is a bearer token: `adapters token` prints one. In Python, BearerAuth of\n"
    "adapter_fleet.openai.bearer_auth signs one for each request: OpenAI(api_key=BearerAuth().token, …)"
)

EXAMPLES = """
# Base URL and model of an adapter.
adapters url acme --stack Tenants

# Those of a component of an endpoint.
adapters url my-endpoint -c llm-acme
"""


def url(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Adapters of the fleet; with --component alone, the endpoint.",
            autocompletion=complete_adapter,
        ),
    ] = None,
    component: ComponentOption = None,
    base: Annotated[bool, typer.Option("--base", help="The fleet's base model, too.")] = False,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write each adapter as a line of JSON.")] = False,
) -> None:
    """Show the base URL and the model with which a client of OpenAI's API talks to adapters.

    For a component of an endpoint without a fleet, the command cannot know which component is the base
    model. Leave that one's model empty.
    """
    with reported_errors():
        account = account_of(context)
        found = find_components(
            account, names or [], component or [], base=base, stack=stack, fleet=fleet, table=table_name
        )
        runtime = account.runtime_url
    for asked, name in found.names.items():
        address = base_url(runtime, endpoint=found.endpoint, component=asked)
        # A container knows an adapter by its component's name. It knows its base model by another name.
        model = "" if asked == found.base else asked
        if as_json:
            line = {"name": name, "component": asked, "endpoint": found.endpoint}
            typer.echo(json.dumps(line | {"base_url": address, "model": model}))
        else:
            typer.echo(f"{one_line(name)}\n  base_url  {one_line(address)}\n  model     {json.dumps(model)}")
    if not as_json:
        print_note(f"\n{TOKEN_HINT}")
