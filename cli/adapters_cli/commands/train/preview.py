"""`adapters preview`: bring one adapter up under a throw-away name, try it, and take it away."""

from collections.abc import Sequence
from typing import Annotated

import typer

from adapters_cli.artifacts.unpublished_adapter import unpublished_adapter
from adapters_cli.aws.account import Account, account_of
from adapters_cli.fleets.adapter_lookup import BASE
from adapters_cli.fleets.base_component import BasePlace, base_place
from adapters_cli.output.exit_codes import FAILED
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.text import duration, print_note

EXAMPLES = """
# Ask it and the base model.
adapters preview out/acme --on Tenants --to s3://my-adapters/prod -p 'Hello'

# Does it load?
adapters preview out/acme --on Tenants --to s3://my-adapters/prod
"""


def preview(
    context: typer.Context,
    adapter: Annotated[
        str, typer.Argument(metavar="DIR|ARCHIVE|S3://…", help="The adapter, on this machine or in S3.")
    ],
    target: Annotated[
        str,
        typer.Option("--on", metavar="BASE|STACK", help="Base component, or a fleet's stack, to run it on."),
    ],
    destination: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="S3://BUCKET/PREFIX",
            help="Where to upload an adapter of this machine. The endpoint's role has to read there.",
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", "-p", metavar="TEXT", help="Ask it and the base model. Repeatable."),
    ] = None,
    base_model: Annotated[
        str | None,
        typer.Option("--base-model", metavar="NAME", help="Its base model; overrides its own configuration."),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", metavar="N", min=1, help="The longest answer, in tokens.")
    ] = 100,
    as_json: JsonOption = False,
) -> None:
    """Bring an adapter up under a throw-away name on a real endpoint, try it there, and take it away.

    Without prompts, the adapter is only loaded. Its component is always deleted, also after Ctrl-C and
    SIGTERM. Its archive stays in S3.

    Ends with 1 if the adapter breaks a rule, or does not load or answer.
    """
    account = account_of(context)
    place = base_place(account, target, option="--on")
    name, artifact = unpublished_adapter(
        account,
        adapter,
        destination=destination,
        base_model=base_model,
        served_model=place.base_model,
        max_lora_rank=place.max_lora_rank,
    )
    from adapters_cli.artifacts.temporary_component import print_leftovers_of, temporary_component

    print_leftovers_of(account, place.endpoint)
    began = account.now()
    with temporary_component(account, place.endpoint, place.base, name, artifact) as component:
        print_note(f"{component} is in service after {duration(account.now() - began)}")
        code = _ask(account, place, component, name, prompt or [], max_tokens, as_json=as_json)
    raise typer.Exit(code)


def _ask(
    account: Account,
    place: BasePlace,
    component: str,
    name: str,
    prompts: Sequence[str],
    max_tokens: int,
    *,
    as_json: bool,
) -> int:
    """Show the answers to prompts beside those of the base model; return the exit code."""
    if not prompts:
        if as_json:
            print_result({"prompts": []}, "", as_json=True)
        return 0
    from adapters_cli.aws.generated_text import TextRequest
    from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint
    from adapters_cli.reports.answers import ask_and_show

    connected = RuntimeEndpoint.connect(place.endpoint, account)
    code, documents = 0, []
    for text in prompts:
        request = TextRequest(prompt=text, max_tokens=max_tokens)
        names = {place.base: BASE, component: name}
        answers = ask_and_show(connected, request, names, stream=False, as_json=as_json)
        documents.append({"prompt": text, "answers": [answer.document for answer in answers]})
        if any(answer.error is not None for answer in answers):
            code = FAILED
    if as_json:
        print_result({"prompts": documents}, "", as_json=True)
    return code
