"""`adapters benchmark`: measure the latency of adapters beside their base model under load."""

import time
from pathlib import Path
from typing import Annotated

import typer

from adapters_cli.aws.account import account_of
from adapters_cli.aws.engine_name import BaseContainer
from adapters_cli.fleets.named_components import ComponentOption, find_adapters
from adapters_cli.load.latency_requirement import LatencyRequirement, Verdict
from adapters_cli.output.confirmation import confirm
from adapters_cli.output.errors import UsageError, option_errors
from adapters_cli.output.exit_codes import FAILED, UNDECIDED
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.text import print_error, print_note

_PATIENCE = 60.0
"""Seconds that an answer may take. SageMaker gives a container as long to answer."""
_PROMPT = "Ticket: Emma from Cairo says the phone arrived broken. Please help.\nAnswer:\n"

EXAMPLES = """
# All adapters of a fleet, eight requests at once.
adapters benchmark --stack Tenants --concurrency 8 --requests 800

# One component and its base model.
adapters benchmark --endpoint my-endpoint -c llm-acme

# A gate.
adapters benchmark --require 'request_error_rate <= 1' --yes
"""


def benchmark(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            default_factory=list,
            show_default=False,
            help="Adapters of the fleet; else all.",
        ),
    ],
    component: ComponentOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    concurrency: Annotated[
        int,
        typer.Option("--concurrency", metavar="N", min=1, max=999_999, help="Requests in progress."),
    ] = 1,
    dataset: Annotated[
        Path | None,
        typer.Option(
            "--dataset", metavar="FILE", help="Prompts in turn: the column 'prompt' of JSONL, JSON or CSV."
        ),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", metavar="N", min=1, help="Length of each answer, in tokens.")
    ] = 32,
    requests: Annotated[
        int, typer.Option("--requests", metavar="N", min=1, help="Maximum requests per side.")
    ] = 100,
    seconds: Annotated[
        float,
        typer.Option("--seconds", metavar="NUMBER", min=1, help="Maximum seconds of the whole benchmark."),
    ] = 300,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="RULE",
            help="End with 1 if it is missed, with 6 if undecided: 'request_latency.p50 <= base * 1.10'.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Load adapters and their base model, and compare latency and throughput.

    Ends with 1 if a requirement is missed or no adapter answered, and with 6 if a requirement is undecided.
    """
    # Imported here: botocore takes long, and `--help` does without.
    from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint
    from adapters_cli.load.benchmark import Benchmark
    from adapters_cli.load.benchmark_plan import BenchmarkPlan
    from adapters_cli.load.streaming_client import StreamingClient
    from adapters_cli.reports.benchmark_report import notes, table

    with option_errors():
        rules = [LatencyRequirement.parse(text) for text in require or []]
        prompts = [_PROMPT] if dataset is None else _prompts(dataset)
    account = account_of(context)
    asked = find_adapters(account, names, component or [])
    container = BaseContainer.read(account, next(iter(asked.names)))
    adapters = [name for name in asked.names if name != container.component]
    if not adapters:
        raise UsageError(f"{container.component} is the base; name adapters, which are measured beside it")
    plan = BenchmarkPlan(
        endpoint=container.endpoint,
        engine=container.engine,
        base=container.component,
        adapters=adapters,
        concurrency=concurrency,
        prompts=prompts,
        max_tokens=max_tokens,
        requests=requests,
        seconds=seconds,
        requirements=rules,
    )
    where = f"endpoint '{asked.endpoint}' at {account.runtime_url}"
    confirm(f"Load {where}, which others may use?", "nothing is sent", yes=yes)
    endpoint = RuntimeEndpoint.connect(asked.endpoint, account, connections=concurrency, patience=_PATIENCE)
    result = Benchmark(plan, StreamingClient(endpoint, time.perf_counter), time.perf_counter).run()
    print_result(result.document(), table(result), as_json=as_json)
    for line in () if as_json else notes(result):
        print_note(line)
    for outcome in result.outcomes:
        show = print_note if outcome.verdict is Verdict.MET else print_error
        show(f"{outcome.verdict}: {outcome.requirement}: {outcome.reason}")
    if not result.adapters.answered:
        print_error("no adapter answered a request")
    verdicts = {outcome.verdict for outcome in result.outcomes}
    if Verdict.MISSED in verdicts or not result.adapters.answered:
        raise typer.Exit(FAILED)
    if Verdict.UNDECIDED in verdicts:
        raise typer.Exit(UNDECIDED)


def _prompts(file: Path) -> list[str]:
    """Return the prompts of a dataset. Raises ValueError for a row without one."""
    from adapters_cli.evaluation.dataset_rows import rows_of

    found = []
    for row in rows_of(str(file)):
        match row.values:
            case {"prompt": str(prompt)}:
                found.append(prompt)
            case _:
                raise ValueError(f"{file}, {row.place}: " + (row.problem or "should have a text 'prompt'"))
    if not found:
        raise ValueError(f"'--dataset' should have a row or more, got none in {file}")
    return found
