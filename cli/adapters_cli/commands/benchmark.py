"""`adapters benchmark`: measure the latency of adapters beside their base model under load."""

import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapter_fleet.common.clock import Clock
from adapters_cli.aws.account import account_of
from adapters_cli.aws.engine_name import BaseContainer
from adapters_cli.fleets.named_components import ComponentOption, find_adapters
from adapters_cli.load.latency_requirement import LatencyRequirement, Verdict
from adapters_cli.output.confirmation import confirm
from adapters_cli.output.errors import CommandError, UsageError, option_errors
from adapters_cli.output.exit_codes import FAILED, INTERRUPTED, UNDECIDED
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.text import print_error, print_note, whole_second
from adapters_cli.product import product_version

if TYPE_CHECKING:
    from adapters_cli.load.benchmark import BenchmarkPlan
    from adapters_cli.load.benchmark_result import BenchmarkResult

_PROMPT = "Ticket: Emma from Cairo says the phone arrived broken. Please help.\nAnswer:\n"

EXAMPLES = """
# All adapters of a fleet, at three levels.
adapters benchmark --stack Tenants --concurrency 1,4,8

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
        str,
        typer.Option("--concurrency", metavar="N,…", help="Requests in progress, at each level."),
    ] = "1,8",
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
        int, typer.Option("--requests", metavar="N", min=1, help="Maximum requests per side and level.")
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
            help="End with 1 if it is missed at a level, with 6 if undecided:"
            " 'request_latency.p50 <= base * 1.10'. Sends up to four times the requests to decide.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Load adapters and their base model, and compare latency and throughput.

    Ends with 1 if a requirement is missed or no adapter answered, and with 6 if a requirement is undecided.
    """
    # Imported here: botocore takes long, and `--help` does without.
    from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint
    from adapters_cli.load.benchmark import GRACE, Benchmark, BenchmarkPlan, LoadError
    from adapters_cli.load.measurement import StreamingClient
    from adapters_cli.reports.benchmark_report import rows, screen

    with option_errors():
        rules = [LatencyRequirement.parse(text) for text in require or []]
        levels = _levels(concurrency)
        texts = [_PROMPT] if dataset is None else _prompts(dataset)
    account = account_of(context)
    asked = find_adapters(account, names, component or [])
    container = BaseContainer.read(account, next(iter(asked.names)))
    adapters = [name for name in asked.names if name != container.component]
    if not adapters:
        raise UsageError(f"{container.component} is the base; name adapters, which are measured beside it")
    plan = BenchmarkPlan(
        base=container.component,
        adapters=adapters,
        concurrency=levels,
        prompts=texts,
        max_tokens=max_tokens,
        requests=requests,
        seconds=seconds,
        max_loras=container.max_loras,
        requirements=rules,
    )
    _note_of_few_requests(plan)
    where = f"endpoint '{asked.endpoint}' at {account.runtime_url}"
    confirm(f"Load {where}, which others may use?", "nothing is sent", yes=yes)
    result = _empty_result(container, plan)
    clock = _SteadyClock()
    endpoint = RuntimeEndpoint.connect(asked.endpoint, account, connections=max(levels), patience=GRACE)
    try:
        Benchmark(plan, StreamingClient(endpoint, clock.now), clock, _progress).run(result)
    except LoadError as error:
        raise CommandError(str(error)) from None
    for level in result.levels:
        level.look(rules)
    result.requirements = [level.outcomes[rule.text] for level in result.levels for rule in rules]
    print_result(result.document(), screen(result), as_json=as_json, rows=rows(result))
    _end(result)


class _SteadyClock(Clock):
    """The machine's steady clock, which nobody sets meanwhile."""

    def now(self) -> float:
        """Return seconds since any moment."""
        return time.perf_counter()


def _note_of_few_requests(plan: "BenchmarkPlan") -> None:
    from adapters_cli.load.benchmark import rounds_of
    from adapters_cli.load.benchmark_result import ERROR, LOOKS

    fewest_rounds = LOOKS * min(rounds_of(clients, plan.requests) for clients in plan.concurrency)
    for rule in plan.requirements:
        needed = rule.fewest_requests(fewest_rounds, ERROR / LOOKS)
        if needed > plan.requests * LOOKS:
            print_note(
                f"{rule.text}: this percentile is decided from about {needed} requests on;"
                f" --requests {math.ceil(needed / LOOKS)} sends as many in {LOOKS} looks"
            )


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print_note(line)


def _end(result: "BenchmarkResult") -> None:
    """Report each requirement, and end with the exit code."""
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    for outcome in result.requirements:
        show = print_note if outcome.verdict is Verdict.MET else print_error
        show(f"{outcome.verdict}: {outcome.requirement} at {outcome.level}: {outcome.reason}")
    verdicts = {outcome.verdict for outcome in result.requirements}
    if not any(level.subject.answered for level in result.levels):
        print_error("no adapter answered a request")
        raise typer.Exit(FAILED)
    if Verdict.MISSED in verdicts:
        raise typer.Exit(FAILED)
    if Verdict.UNDECIDED in verdicts:
        raise typer.Exit(UNDECIDED)


def _levels(concurrency: str) -> list[int]:
    try:
        found = [int(part) for part in concurrency.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < each < 1e6 for each in found):
        raise UsageError(
            f"'concurrency' should be whole numbers above 0, separated by commas, got {concurrency!r}"
        )
    return list(dict.fromkeys(found))


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


def _empty_result(container: BaseContainer, plan: "BenchmarkPlan") -> "BenchmarkResult":
    from adapters_cli.load.benchmark_result import LOOKS, BenchmarkResult

    return BenchmarkResult(
        made_at=whole_second(time.time()),
        product_version=product_version(),
        endpoint=container.endpoint,
        base=container.component,
        engine=container.engine,
        copies=container.copies,
        prompts=len(plan.prompts),
        max_tokens=plan.max_tokens,
        bounds={
            "requests": plan.requests * (LOOKS if plan.requirements else 1),
            "seconds": plan.seconds,
        },
    )
