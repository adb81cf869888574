"""`adapters compare`: the answers of adapters and their base model to one prompt, side by side."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated

import typer

from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.generation import GenerationRequest
from adapters_cli.aws.worker_threads import WorkerThreads
from adapters_cli.evaluation.result import Answer, EvaluatedItem, Subject
from adapters_cli.fleets.adapter_lookup import ComponentOption
from adapters_cli.fleets.fleet_lookup import FleetOption, StackOption, TableOption
from adapters_cli.output.errors import UsageError, reported_errors
from adapters_cli.output.exit_codes import FAILED, NO_ANSWER
from adapters_cli.output.text import print_note

if TYPE_CHECKING:
    from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint
    from adapters_cli.fleets.subject_lookup import FoundSubjects

EXAMPLES = """
# The base model and two adapters.
adapters compare acme globex 'Hello' --stack Tenants

# A component and its base model.
adapters compare my-endpoint 'Hello' -c llm-acme

# As a page to send to someone.
adapters compare acme --file prompt.txt --html answers.html --stack Tenants
"""


def compare(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME... PROMPT",
            help="Adapters of the fleet (with --component alone, the endpoint), then the prompt.",
        ),
    ],
    component: ComponentOption = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="Has the prompt; - is standard input.", allow_dash=True),
    ] = None,
    without_base: Annotated[
        bool, typer.Option("--without-base", help="Compare with the first adapter, not with the base model.")
    ] = False,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", metavar="N", min=1, help="Longest answer, in tokens.")
    ] = 256,
    temperature: Annotated[
        float, typer.Option(min=0, help="0 gives the most likely answer, the same each time.")
    ] = 0.0,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", metavar="TEXT", help="Ends an answer; several for more.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the answers, too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Show the answers of the base model and of adapters side by side, with their differences marked.

    Ends with 1 if one of them does not answer, and with 4 if none could be asked.
    """
    with reported_errors():
        # Imported here: botocore takes long, and `--help` does without.
        from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint
        from adapters_cli.fleets.subject_lookup import find_subjects

        account = account_of(context)
        if len(words) == 1 and file is None and not component:
            raise UsageError(f"give adapters of the fleet and then the prompt, got only {words[0]!r}")
        names, prompt = _names_and_prompt(words, file)
        found = find_subjects(account, names, component or (), stack=stack, fleet=fleet, table=table_name)
        everyone = [*found.subjects] if without_base else [found.baseline, *found.subjects]
        if len(everyone) < 2:
            raise UsageError(
                "there is nothing to compare with; name two adapters, or leave out --without-base"
            )
        endpoint = RuntimeEndpoint.connect(found.endpoint, account, connections=len(everyone))
        request = GenerationRequest(
            prompt=prompt, max_tokens=max_tokens, temperature=temperature, stop=tuple(stop or ())
        )
        answers, unasked = _ask_all(endpoint, request, everyone)
        _print(prompt, everyone, answers, as_json=as_json)
        if html is not None:
            _write_page(html, account, found, prompt, answers)
            print_note(f"the page is {html}")
    if unasked == len(everyone):
        raise typer.Exit(NO_ANSWER)
    if any(answer.error is not None for answer in answers.values()):
        raise typer.Exit(FAILED)


def _names_and_prompt(words: Sequence[str], file: Path | None) -> tuple[list[str], str]:
    if file is None:
        *names, prompt = words
        return names, sys.stdin.read() if prompt == "-" else prompt
    return list(words), sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")


def _ask_all(
    endpoint: "RuntimeEndpoint", request: GenerationRequest, everyone: Sequence[Subject]
) -> tuple[dict[str, Answer], int]:
    """Ask all at the same time; return their answers by name, and how many could not be asked."""
    from adapters_cli.aws.runtime_endpoint import InvocationError, UnaskedError

    answers: dict[str, Answer] = {}
    unasked: list[str] = []

    def ask(subject: Subject) -> None:
        started = time.perf_counter()
        try:
            found = endpoint.generate(subject.component, request)
        except InvocationError as error:
            answers[subject.name] = Answer(error=str(error), seconds=time.perf_counter() - started)
            if isinstance(error, UnaskedError):
                unasked.append(subject.name)
        else:
            answers[subject.name] = Answer(
                text=found.text,
                seconds=found.seconds,
                prompt_tokens=found.prompt_tokens,
                completion_tokens=found.completion_tokens,
            )

    rest = SimpleQueue[Subject]()
    for subject in everyone:
        rest.put(subject)
    WorkerThreads(lambda: ask(rest.get()), len(everyone)).run(stop=lambda: None, grace_seconds=0)
    return {subject.name: answers[subject.name] for subject in everyone}, len(unasked)


def _print(prompt: str, everyone: Sequence[Subject], answers: dict[str, Answer], *, as_json: bool) -> None:
    if not as_json:
        from adapters_cli.reports.side_by_side import print_answers

        print_answers(answers)
        return
    document = {
        "prompt": prompt,
        "answers": [
            {"name": subject.name, "component": subject.component, **_fields(answers[subject.name])}
            for subject in everyone
        ],
    }
    typer.echo(json.dumps(document, indent=2))


def _fields(answer: Answer) -> dict[str, object]:
    result = {"text": answer.text} if answer.error is None else {"error": answer.error}
    return {
        **result,
        "seconds": answer.seconds,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
    }


def _write_page(
    file: Path, account: Account, found: "FoundSubjects", prompt: str, answers: dict[str, Answer]
) -> None:
    from adapters_cli.aws.engine_name import engine_name
    from adapters_cli.reports.html_page import comparison_page

    page = comparison_page(
        [EvaluatedItem(id="1", prompt=prompt, reference="", answers=answers, scores={})],
        list(answers),
        made_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(account.now())),
        endpoint=found.endpoint,
        engine=engine_name(account, found.endpoint, found.base),
    )
    file.write_text(page, encoding="utf-8", errors="backslashreplace")
