"""`adapters invoke`: send one prompt to adapters of a fleet, or to components of an endpoint."""

import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated

import typer

from adapters_cli.aws.account import Account, account_of
from adapters_cli.fleets.named_components import ComponentOption, find_components
from adapters_cli.output.errors import CommandError, UsageError
from adapters_cli.output.exit_codes import FAILED, NO_ANSWER
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.text import not_utf8, print_note

if TYPE_CHECKING:
    from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint

_WAIT_SECONDS, _MAX_WAIT_SECONDS = 10.0, 900.0

EXAMPLES = """
# Ask two adapters of a fleet, and their base model.
adapters invoke acme globex 'Hello' --base --stack Tenants

# Ask a component of an endpoint.
adapters invoke 'Hello' --endpoint my-endpoint -c llm-acme
"""


def invoke(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME", default_factory=list, show_default=False, help="Adapters of the fleet."
        ),
    ],
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="The prompt; - reads it from standard input.")
    ],
    component: ComponentOption = None,
    base: Annotated[bool, typer.Option("--base", help="Ask the fleet's base model, too.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Show the answers as they are written.")] = False,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", metavar="N", min=1, help="Longest answer, in tokens.")
    ] = 100,
    temperature: Annotated[
        float,
        typer.Option(metavar="NUMBER", min=0, help="0 gives the most likely answer, the same each time."),
    ] = 0.0,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait for a copy of the base, up to 15 minutes, and wake one up."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Send a prompt to adapters, and with --base to their base model; show the answers side by side.

    A terminal marks what differs from the first answer. Ends with 1 if one does not answer, and with 4 if
    none could be asked.
    """
    # Imported here: botocore takes long, and `--help` does without.
    from adapters_cli.aws.generated_text import TextRequest
    from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint
    from adapters_cli.reports.answers import ask_and_show

    account = account_of(context)
    asked = find_components(account, names, component or [], base=base)
    connected = RuntimeEndpoint.connect(asked.endpoint, account)
    request = TextRequest(
        prompt=_prompt(prompt),
        max_tokens=max_tokens,
        temperature=temperature,
    )
    if wait:
        _wait_for_a_copy(account, connected, next(iter(asked.names)))
    answers = ask_and_show(connected, request, asked.names, stream=stream, as_json=as_json)
    if as_json:
        documents = [answer.document for answer in answers]
        print_result({"prompt": request.prompt, "answers": documents}, "", as_json=True)
    if all(answer.unasked for answer in answers):
        raise typer.Exit(NO_ANSWER)
    if any(answer.error is not None for answer in answers):
        raise typer.Exit(FAILED)


def _prompt(given: str) -> str:
    """Return the prompt of the command line, or of standard input. Raises UsageError if it is no UTF-8."""
    try:
        if given == "-":
            return TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig").read()
        return given.encode(errors="surrogateescape").decode()  # bytes that are no text are surrogates
    except UnicodeDecodeError as error:
        raise UsageError(f"the prompt should be UTF-8 text, got {not_utf8(error, 'FILE')}") from None


def _wait_for_a_copy(account: Account, endpoint: "RuntimeEndpoint", component: str) -> None:
    """Wait until a component has a copy. A request that no copy takes is what scales a base out of zero."""
    from adapters_cli.aws.engine_name import BaseContainer
    from adapters_cli.aws.generated_text import TextRequest
    from adapters_cli.aws.runtime_endpoint import InvocationError

    until = account.now() + _MAX_WAIT_SECONDS
    base = BaseContainer.read(account, component)
    if base.copies == 0:
        print_note(f"{base.component} has no copy; a request starts one if copies scale; Ctrl-C ends this")
    while BaseContainer.read(account, component).copies == 0:
        if account.now() >= until:
            raise CommandError(f"{base.component} has no copy after {_MAX_WAIT_SECONDS / 60:.0f} minutes")
        with suppress(InvocationError):
            endpoint.generate(component, TextRequest(prompt="wake up", max_tokens=1))
        account.sleep(_WAIT_SECONDS)
