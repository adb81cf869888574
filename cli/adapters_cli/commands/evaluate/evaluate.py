"""`adapters evaluate`: score adapters beside their base model over a dataset, as a gate if asked to."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter_fleet.common.counts import counted
from adapter_fleet.common.naming import ARCHIVE_SUFFIX
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.generated_text import GeneratedText, TextRequest
from adapters_cli.evaluation.answer_log import LOG_FILE, AnswerLog, open_log
from adapters_cli.evaluation.dataset import Dataset, DatasetOptions, read_dataset
from adapters_cli.evaluation.result import RESULT_FILE, Decoding, EvaluationResult, to_json
from adapters_cli.evaluation.tasks import Task, check_adapters, tasks_of
from adapters_cli.fleets.base_component import base_place, place_of_fleet
from adapters_cli.fleets.fleet_lookup import find_fleet
from adapters_cli.fleets.named_components import ComponentOption
from adapters_cli.output.errors import CommandError, UsageError, library_errors, option_errors
from adapters_cli.output.exit_codes import FAILED, INTERRUPTED
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.text import print_error, print_note

if TYPE_CHECKING:
    from adapters_cli.evaluation.evaluation import Evaluated, EvaluationPlan
    from adapters_cli.evaluation.metrics.metric import Metric
    from adapters_cli.fleets.subject_lookup import FoundSubjects

EXAMPLES = """
# An adapter and its base model.
adapters evaluate acme --dataset test.jsonl --stack Tenants

# One that is not published.
adapters evaluate out/acme --to s3://my-adapters/prod --dataset a.csv

# A component of an endpoint.
adapters evaluate --endpoint my-endpoint -c llm-acme --dataset test.jsonl
"""


def evaluate(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME|PATH",
            default_factory=list,
            show_default=False,
            help="Adapters of the fleet; or one that is not published, by a path with a slash or in S3.",
        ),
    ],
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            metavar="FILE",
            help="The items, with columns 'prompt' or 'messages': JSONL, JSON or CSV.",
        ),
    ],
    component: ComponentOption = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="VERSION|COMPONENT",
            help="Ask this one, too, and end with 1 if the adapter is worse: an adapter, an earlier"
            " version, an archive in S3 or a component.",
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="BASE|STACK",
            help="Where to run an adapter that is not published; else on the fleet's base component.",
        ),
    ] = None,
    destination: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="S3://BUCKET/PREFIX",
            help="Where to upload an adapter of this machine: that of 'adapters publish'.",
        ),
    ] = None,
    base_model: Annotated[
        str | None,
        typer.Option("--base-model", metavar="NAME", help="Its base model; overrides its own configuration."),
    ] = None,
    reference_column: Annotated[
        list[str] | None,
        typer.Option(
            "--reference-column",
            metavar="[NAME=]COLUMN",
            help="The right answer; else 'reference'. With an adapter's name: that one's, which is asked only"
            " the items that have it. Repeatable.",
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option("--template", metavar="TEXT", help="The prompt, with columns in braces: '{text}'."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="METRIC",
            help="rouge1, rouge2, rougeL, meteor, bert_score, bert_score:DIR, exact_match or"
            " python:FILE:FUNCTION. Repeatable.",
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="[NAME=]RULE",
            help="End with 1 if not met: 'rougeL >= base + 20%', 'exact_match >= 0.9'. Repeatable.",
        ),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", metavar="N", min=1, help="Longest answer, in tokens.")
    ] = 256,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", metavar="TEXT", help="Ends an answer. Repeatable.")
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, max=256, help="Questions at the same time.")
    ] = 8,
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="For answers and reports.")] = Path(
        "evaluation"
    ),
    as_json: JsonOption = False,
) -> None:
    """Ask adapters and their base model the same items, score the answers, and say what differs.

    An adapter that is not published is checked, uploaded, and run under a temporary name.

    The answers and reports are in --output, those of an adapter with a reference column of its own in a
    folder of its name. After an interruption, the same command asks only what is not answered yet.

    Ends with 1 if a requirement is not met, or if answers are errors.
    """
    # Imported here: NumPy and botocore take long, and `--help` does without.
    from adapters_cli.evaluation.metrics.choose import metrics_of
    from adapters_cli.fleets.subject_lookup import find_subjects

    with library_errors():  # before anything is uploaded or asked
        import_module("numpy")
        import_module("jinja2")
    account = account_of(context)

    @cache
    def read(options: DatasetOptions) -> Dataset:
        return read_dataset(dataset, options)

    with option_errors():
        tasks = tasks_of(reference_column or (), require or (), template=template)
        metrics = metrics_of(metric or ())
        if against is not None and len(tasks) > 1:
            raise UsageError("--against is for one adapter: give its --reference-column without a name")
        if len(tasks) == 1:  # before anything is uploaded
            read(tasks[0].options)
    if names and _is_path(names[0]):
        if len(names) > 1 or component or account.endpoint is not None or len(tasks) > 1:
            raise UsageError(
                "an adapter that is not published is evaluated alone, or with --against; --on says where"
            )
        found = _unpublished(account, names[0], destination, base_model, on, against=against)
    else:
        if on or destination or base_model:
            raise UsageError("--on, --to and --base-model are for the path of an adapter")
        found = find_subjects(account, names, component or (), against=against)
    decoding = Decoding(max_tokens=max_tokens, stop=tuple(stop or ()))
    with option_errors():
        plans = _plans(found, tasks, read, decoding, metrics)
    evaluated: dict[str, Evaluated] = {}
    try:
        with open_log(output) as log:
            for folder, plan in plans.items():
                asked = _evaluated(account, found, plan, log, jobs=jobs)
                evaluated[folder] = _beside_other(asked, found)
                _write_reports(evaluated[folder].result, output / folder)
    except KeyboardInterrupt:
        print_note(
            f"interrupted: the answers so far are in {output / LOG_FILE}, and the same command asks only"
            " the others"
        )
        raise typer.Exit(INTERRUPTED) from None
    _print(evaluated, output, as_json=as_json)
    if not all(one.result.passed and not one.errors for one in evaluated.values()):
        raise typer.Exit(FAILED)


def _plans(
    found: "FoundSubjects",
    tasks: Sequence[Task],
    read: Callable[[DatasetOptions], Dataset],
    decoding: Decoding,
    metrics: "Sequence[Metric]",
) -> "dict[str, EvaluationPlan]":
    """Return what each task asks, by the folder of its reports."""
    from adapters_cli.evaluation.evaluation import EvaluationPlan

    check_adapters(tasks, [subject.name for subject in found.subjects])
    own = {task.adapter for task in tasks}
    plans = {}
    for task in tasks:
        subjects = [
            subject
            for subject in found.subjects
            if (subject.name not in own if task.adapter is None else subject.name == task.adapter)
        ]
        if subjects:
            plan = EvaluationPlan(
                endpoint=found.endpoint,
                baseline=found.baseline,
                subjects=subjects,
                versions=found.versions,
                dataset=read(task.options),
                decoding=decoding,
                metrics=metrics,
                requirements=task.requirements,
                against=found.against,
                base_model=found.base_model,
            )
            plan.check()
            if empty := sum(not item.reference.strip() for item in plan.dataset.items):
                print_note(f"{counted(empty, 'item')} with an empty reference: only no answer is right there")
            plans[task.adapter or "."] = plan
    return plans


def _evaluated(
    account: Account, found: "FoundSubjects", plan: "EvaluationPlan", log: AnswerLog, *, jobs: int
) -> "Evaluated":
    """Ask, with temporary components for what no other one serves."""
    from adapters_cli.artifacts.temporary_component import print_leftovers_of, temporary_component
    from adapters_cli.aws.engine_name import engine_name
    from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint
    from adapters_cli.evaluation.evaluation import evaluate as evaluated
    from adapters_cli.output.progress_bars import AnswerBar

    if log.unreadable:
        print_note(f"{log.path}: {counted(log.unreadable, 'line')} cannot be read, and is asked again")
    for changed_setting in log.changed_settings(plan.settings):
        print_note(f"{changed_setting}, so that answers of earlier runs are asked again")
    plan = replace(plan, engine=engine_name(account, found.endpoint, found.base))
    endpoint = RuntimeEndpoint.connect(found.endpoint, account, connections=jobs)
    with ExitStack() as stack:
        routes: dict[str, str] = {}
        if found.absent and log.unanswered(plan.questions()):
            print_leftovers_of(account, found.endpoint)
            for named, artifact in found.absent.items():
                name = named.partition("@")[0]
                routes[named] = stack.enter_context(
                    temporary_component(account, found.endpoint, found.base, name, artifact)
                )

        def ask(component: str, request: TextRequest) -> GeneratedText:
            return endpoint.generate(routes.get(component, component), request)

        bar = stack.enter_context(AnswerBar())
        now = account.now()
        result = evaluated(plan, log, ask, jobs=jobs, watching=bar.watching, now=now, note=bar.note)
    if changed := found.changed(account):
        raise CommandError(
            f"{', '.join(changed)} changed meanwhile, so that the answers are of several versions; delete"
            f" {log.path}, and run the same command again"
        )
    return result


def _is_path(name: str) -> bool:
    """Return True for the path or the URI of an adapter: an adapter's name has no slash."""
    return "/" in name or os.sep in name or name.endswith(ARCHIVE_SUFFIX)


def _unpublished(
    account: Account,
    path: str,
    destination: str | None,
    base_model: str | None,
    on: str | None,
    *,
    against: str | None,
) -> "FoundSubjects":
    """Return an adapter that is not published, after its check and upload."""
    from adapters_cli.artifacts.unpublished_adapter import unpublished_adapter
    from adapters_cli.fleets.subject_lookup import find_unpublished

    if on is None or account.stack is not None:
        fleet = find_fleet(account)
        place = place_of_fleet(fleet)
    else:
        fleet = None
    if on is not None:
        place = base_place(account, on, option="--on")
    name, artifact = unpublished_adapter(
        account,
        path,
        destination=destination,
        base_model=base_model,
        served_model=place.base_model,
        max_lora_rank=place.max_lora_rank,
    )
    return find_unpublished(account, name, artifact, place, against=against, fleet=fleet)


def _beside_other(evaluated: "Evaluated", found: "FoundSubjects") -> "Evaluated":
    """Return the evaluation with the outcomes beside the version of `--against`, as further requirements."""
    from adapters_cli.evaluation.statistics import no_worse_than_other

    if found.against is None:
        return evaluated
    result = evaluated.result
    outcomes = no_worse_than_other(result, subject=found.subjects[0].name, other=found.against)
    return replace(evaluated, result=replace(result, requirements=(*result.requirements, *outcomes)))


def _write_reports(result: EvaluationResult, folder: Path) -> None:
    """Write the result and the reports on it."""
    from adapters_cli.reports.html_page import html_page
    from adapters_cli.reports.text_reports import junit, markdown

    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in (
        (RESULT_FILE, to_json(result)),
        ("report.md", markdown(result)),
        ("report.html", html_page(result)),
        ("junit.xml", junit(result)),
    ):
        (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")


def _print(evaluated: "Mapping[str, Evaluated]", output: Path, *, as_json: bool) -> None:
    """Print the evaluations, which are several only if adapters have tasks of their own."""
    from adapters_cli.reports.evaluation_screen import print_notes, rows, screen

    documents = {folder: _document(one.result, output / folder) for folder, one in evaluated.items()}
    if as_json:
        [document, *more] = documents.values()
        print_result({"evaluations": documents} if more else document, "", as_json=True)
    for folder, one in evaluated.items():
        result, asking = one.result, one.asking
        if not as_json:
            print_result({}, screen(result), as_json=False, rows=rows(result))
            print_notes(result)
        if asking.asked:
            print_note(
                f"{counted(asking.asked, 'answer')} in {asking.seconds:.1f} s, {asking.retries} asked again"
            )
        if asking.reused:
            print_note(f"{counted(asking.reused, 'answer')} of an earlier run, from {output / LOG_FILE}")
        print_note(f"the reports are in {output / folder}")
        if one.errors:
            print_error(f"{counted(one.errors, 'answer')} failed; the same command asks them again")
            for reason in _first_errors(result):
                print_error(reason)


def _document(result: EvaluationResult, folder: Path) -> dict[str, Any]:
    """Return a result as JSON, without its items."""
    document = json.loads(to_json(result))
    del document["items"]
    return {**document, "passed": result.passed, "output": str(folder)}


def _first_errors(result: EvaluationResult, most: int = 3) -> Sequence[str]:
    return [
        f"{name}, item {item.id}: {answer.error}"
        for item in result.items
        for name, answer in item.answers.items()
        if answer.error is not None
    ][:most]
