"""`adapters preview`: bring one adapter up under a throw-away name, try it, and take it away."""

import os
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from adapter_fleet.common.counts import counted
from adapter_fleet.serving.completions import PromptRequest
from adapters_cli.artifacts.unpublished_adapter import unpublished_adapter
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.components import EndpointComponents, no_endpoint
from adapters_cli.fleets.adapter_lookup import BASE
from adapters_cli.fleets.base_place import BasePlace, base_of_endpoint, base_place
from adapters_cli.output.answers import ComponentAnswer
from adapters_cli.output.confirmation import confirm
from adapters_cli.output.errors import UsageError, reported_errors
from adapters_cli.output.exit_codes import FAILED
from adapters_cli.output.text import duration, few, print_error, print_note

if TYPE_CHECKING:
    from adapters_cli.artifacts.temporary_component import Leftover

_NOT_FOUND = 127
"""Exit code of a shell for a command that does not exist."""

EXAMPLES = """
# Ask it and the base model.
adapters preview out/acme --on Tenants --to s3://my-adapters/prod -p 'Hello'

# Run a command while it is there.
adapters preview out/acme --on Tenants --to s3://my-adapters/prod -- pytest

# Delete previews that killed commands left.
adapters preview --clean-up --endpoint my-endpoint
"""


def preview(
    context: typer.Context,
    adapter: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR|ARCHIVE|S3://…", help="The adapter, on this machine or in S3.", show_default=False
        ),
    ] = None,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND...]", help="A command to run meanwhile.", show_default=False),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--on", metavar="BASE|STACK", help="Base component, or a fleet's stack, to run it on."),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="NAME", help="In place of --on: an endpoint with one base model."),
    ] = None,
    destination: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="S3://BUCKET/PREFIX",
            help="Where to upload an adapter of this machine. The endpoint's role has to read there.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the adapter; else that of its path.")
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", "-p", metavar="TEXT", help="Ask it and the base model; several one by one."),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer to a prompt, in tokens.")] = 100,
    base_model: Annotated[
        str | None,
        typer.Option("--base-model", metavar="NAME", help="Its base model; overrides its own configuration."),
    ] = None,
    clean_up: Annotated[
        bool,
        typer.Option(
            "--clean-up", help="Delete previews that killed commands left, more than an hour old; no adapter."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --clean-up: do not ask for confirmation.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write each answer as a line of JSON.")] = False,
) -> None:
    """Bring an adapter up under a throw-away name on a real endpoint, try it there, and take it away.

    A command after -- has ADAPTER_COMPONENT, BASE_COMPONENT and ENDPOINT_NAME in its environment. Without
    prompts and a command, the adapter is only loaded. It is taken away in any case, also after
    Ctrl-C and SIGTERM. Its archive stays in S3, where `adapters publish` finds it.

    Ends with the code of the command; with 1 if the adapter breaks a rule, or does not load or answer.
    """
    with reported_errors():
        account = account_of(context)
        if clean_up:
            if adapter is not None:
                raise UsageError("--clean-up takes no adapter")
            # An endpoint may have several base models here.
            named = endpoint if target is None else None
            _clean_up(account, named or _place(account, target, endpoint).endpoint, yes=yes)
            return
        place = _place(account, target, endpoint)
        if adapter is None:
            raise UsageError("which adapter? Give a directory, an archive, or one in S3")
        name, artifact = unpublished_adapter(
            account,
            adapter,
            name=name,
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
            code = _ask(account, place, component, name, prompt or [], max_new_tokens, as_json=as_json)
            if command:
                code = _run(command, place, component, name) or code
    raise typer.Exit(code)


def _place(account: Account, target: str | None, endpoint: str | None) -> BasePlace:
    if (target is None) == (endpoint is None):
        raise UsageError("on which base model? Give --on, or --endpoint")
    if endpoint is not None:
        return base_of_endpoint(account, endpoint)
    return base_place(account, target or "", option="--on")


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
        return 0
    from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint
    from adapters_cli.aws.shown_answers import show_answers

    connected = RuntimeEndpoint.connect(place.endpoint, account)
    code = 0
    for text in prompts:
        answers = [
            ComponentAnswer(component=place.base, name=BASE),
            ComponentAnswer(component=component, name=name),
        ]
        request = PromptRequest(prompt=text, max_tokens=max_tokens)
        show_answers(connected, request, answers, stream=False, as_json=as_json)
        if any(answer.error is not None for answer in answers):
            code = FAILED
    return code


def _run(command: Sequence[str], place: BasePlace, component: str, name: str) -> int:
    """Run a command of the user; return its exit code as a shell gives it."""
    environment = os.environ | {
        "ADAPTER_COMPONENT": component,
        "ADAPTER_NAME": name,
        "BASE_COMPONENT": place.base,
        "ENDPOINT_NAME": place.endpoint,
    }
    try:
        code = subprocess.run(command, env=environment, check=False).returncode
    except OSError as error:
        print_error(f"{command[0]}: {error.strerror}")
        return _NOT_FOUND
    return code if code >= 0 else 128 - code


def _clean_up(account: Account, endpoint: str, *, yes: bool) -> None:
    from adapters_cli.artifacts.temporary_component import delete_component, leftovers

    found = leftovers(account, endpoint)
    if not found:
        if not EndpointComponents(account, endpoint).listed():
            raise no_endpoint(account, endpoint)
        print_note("there are no previews that are more than an hour old")
        return
    listed = few([_with_age(one) for one in found])
    confirm(f"Delete {counted(len(found), 'component')} ({listed})?", "nothing is deleted", yes=yes)
    for one in found:
        delete_component(account, one.component)
        print_note(f"{one.component} is deleted")


def _with_age(one: "Leftover") -> str:
    return f"{one.component}, {duration(one.age_seconds)} old"
