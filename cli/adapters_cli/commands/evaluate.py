"""`adapters evaluate`: score adapters beside their base model over a dataset, as a gate if asked to."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapter_fleet.common.counts import counted
from adapter_fleet.common.s3_uri import SCHEME
from adapter_fleet.evaluation.requirement import Requirement
from adapter_fleet.manifest.desired import Artifact
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.generation import Generation, GenerationRequest
from adapters_cli.evaluation.answer_log import LOG_FILE, AnswerLog, open_log
from adapters_cli.evaluation.dataset import DatasetOptions, read_dataset
from adapters_cli.evaluation.result import DatasetFacts, Decoding, EvaluationResult
from adapters_cli.evaluation.result_file import RESULT_FILE, to_json
from adapters_cli.evaluation.stored_evaluation import StoredEvaluation
from adapters_cli.fleets.adapter_lookup import ComponentOption
from adapters_cli.fleets.fleet_lookup import find_fleet
from adapters_cli.output.errors import CommandError, UsageError, option_errors, reported_errors
from adapters_cli.output.exit_codes import FAILED, INTERRUPTED
from adapters_cli.output.results import JsonOption
from adapters_cli.output.text import print_error, print_note

if TYPE_CHECKING:
    from adapters_cli.evaluation.evaluation import Evaluated, EvaluationPlan
    from adapters_cli.fleets.subject_lookup import FoundSubjects

_OUTPUT = Path("evaluation")

EXAMPLES = """
# An adapter and its base model.
adapters evaluate acme --dataset test.jsonl --stack Tenants

# As a gate in CI, with ADAPTERS_STACK set.
adapters evaluate acme --dataset test.jsonl --require 'rougeL >= base + 20%'

# A component of an endpoint.
adapters evaluate --endpoint my-endpoint -c llm-acme --dataset test.jsonl
"""


def evaluate(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            default_factory=list,
            show_default=False,
            help="Adapters of the fleet.",
        ),
    ],
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            metavar="FILE",
            help="The items: JSONL, JSON, CSV or Parquet, or hf:OWNER/NAME, also with /CONFIG and :SPLIT.",
        ),
    ],
    component: ComponentOption = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="VERSION|COMPONENT",
            help="Compare with this, not with the base model: an earlier version, an archive in S3, an"
            " adapter or a component.",
        ),
    ] = None,
    prompt_column: Annotated[
        str, typer.Option("--prompt-column", metavar="COLUMN", help="What is asked.")
    ] = "prompt",
    reference_column: Annotated[
        str, typer.Option("--reference-column", metavar="COLUMN", help="The right answer.")
    ] = "reference",
    id_column: Annotated[
        str | None,
        typer.Option("--id-column", metavar="COLUMN", help="Names items; else 'id', or the row's number."),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option("--template", metavar="TEXT", help="The prompt, with columns in braces: '{text}'."),
    ] = None,
    messages_column: Annotated[
        str | None,
        typer.Option(
            "--messages-column", metavar="COLUMN", help="Conversations, for the container's chat template."
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", metavar="TEXT", help="System message before each prompt.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Only the first rows.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", min=1, help="So many rows, at random.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Of sample, intervals and tests.")
    ] = 0,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="METRIC",
            help="rouge1, rouge2, rougeL, meteor, bert_score, exact_match, regex:PATTERN, json_valid,"
            " json_field:NAME, json_fields or python:FILE:FUNCTION; several for more.",
        ),
    ] = None,
    bert_model: Annotated[
        Path | None,
        typer.Option("--bert-model", metavar="DIR", help="The model of bert_score, as a directory."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="MODEL",
            help="A model that compares each pair of answers in both orders: bedrock:MODEL, or URL#MODEL of"
            " an OpenAI-compatible API, with its key in ADAPTERS_JUDGE_API_KEY.",
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="RULE",
            help="Ends with 1 if not met: 'rougeL >= base + 20%', 'exact_match >= 0.9'; several for more.",
        ),
    ] = None,
    no_worse_than: Annotated[
        str | None,
        typer.Option(
            "--no-worse-than",
            metavar="last|S3://…",
            help="Ends with 1 if scores are lower, item by item, than in this stored result, or the last of"
            " the version that the fleet has.",
        ),
    ] = None,
    store: Annotated[
        bool,
        typer.Option("--store", help="Store the result beside each adapter's archive in S3, without texts."),
    ] = False,
    allow_errors: Annotated[
        int,
        typer.Option("--allow-errors", metavar="N", min=0, help="Answers that may be errors; with more, 1."),
    ] = 0,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", metavar="N", min=1, help="Longest answer, in tokens.")
    ] = 256,
    temperature: Annotated[
        float, typer.Option(min=0, help="0 gives the most likely answer, the same each time.")
    ] = 0.0,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", metavar="TEXT", help="Ends an answer; several for more.")
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, max=256, help="Questions at the same time.")
    ] = 8,
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="For answers and reports.")
    ] = _OUTPUT,
    as_json: JsonOption = False,
) -> None:
    """Ask adapters and their base model the same items, score the answers, and say what differs.

    The answers and the reports (result.json, report.md, report.html, junit.xml) are in --output. After an
    interruption, the same command asks only what is not answered yet.

    Ends with 1 if a requirement is not met, if answers are errors, or if the judge fails.
    """
    with reported_errors():
        # Imported here: NumPy and botocore take long, and `--help` does without.
        from adapters_cli.evaluation.evaluation import EvaluationPlan
        from adapters_cli.evaluation.judge import judge_of
        from adapters_cli.evaluation.metrics.choose import metrics_of
        from adapters_cli.evaluation.no_worse import check_same_questions
        from adapters_cli.fleets.subject_lookup import find_subjects
        from adapters_cli.reports.report_files import write_reports

        account = account_of(context)
        with option_errors():
            options = DatasetOptions(
                prompt_column=prompt_column,
                reference_column=reference_column,
                id_column=id_column,
                template=template,
                messages_column=messages_column,
                system=system,
                limit=limit,
                sample=sample,
                seed=seed,
            )
            requirements = [Requirement.parse(text) for text in require or ()]
            metrics = metrics_of(metric or (), bert_model=bert_model)
            chosen_judge = None if judge is None else judge_of(judge, account)
            items = read_dataset(dataset, options)
        found = find_subjects(account, names, component or (), against=against)
        plan = EvaluationPlan(
            endpoint=found.endpoint,
            baseline=found.baseline,
            subjects=found.subjects,
            versions=found.versions,
            dataset=items,
            decoding=Decoding(max_tokens=max_tokens, temperature=temperature, stop=tuple(stop or ())),
            metrics=metrics,
            requirements=requirements,
            judge=chosen_judge,
            seed=seed,
        )
        with option_errors():
            plan.check()
        last = _last_results(account, found, items.facts, no_worse_than)
        for before in last.values():
            check_same_questions(before, plan.dataset.facts, plan.decoding, [one.facts for one in metrics])
        try:
            with open_log(output) as log:
                evaluated = _held(_evaluated(account, found, plan, log, jobs=jobs), last)
                _note_replaced(output, evaluated.result.dataset)
                write_reports(evaluated.result, output)
        except KeyboardInterrupt:
            print_note(
                f"interrupted: the answers so far are in {output / LOG_FILE}, and the same command asks only"
                " the others"
            )
            raise typer.Exit(INTERRUPTED) from None
        if store and evaluated.errors:
            print_error("nothing is stored, as a stored result has no errors")
        elif store:
            _store(account, evaluated.result)
        _print(evaluated, output, as_json=as_json)
        if not evaluated.result.passed or _too_many(evaluated, allow_errors):
            raise typer.Exit(FAILED)


def _evaluated(
    account: Account, found: "FoundSubjects", plan: "EvaluationPlan", log: AnswerLog, *, jobs: int
) -> "Evaluated":
    """Ask, with the baseline on a temporary component if no other one serves it."""
    from adapters_cli.artifacts.temporary_component import print_leftovers_of, temporary_component
    from adapters_cli.aws.engine_name import engine_name
    from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint
    from adapters_cli.evaluation.evaluation import evaluate as evaluated
    from adapters_cli.output.progress_bars import AnswerBar

    if log.unreadable:
        print_note(f"{log.path}: {counted(log.unreadable, 'line')} cannot be read, and is asked again")
    plan = replace(plan, engine=engine_name(account, found.endpoint, found.base))
    endpoint = RuntimeEndpoint.connect(found.endpoint, account, connections=jobs)
    with ExitStack() as stack:
        routes: dict[str, str] = {}
        if found.absent is not None and log.unanswered(plan.questions()):
            print_leftovers_of(account, found.endpoint)
            name = found.subjects[0].name
            component = stack.enter_context(
                temporary_component(account, found.endpoint, found.base, name, found.absent)
            )
            routes[found.baseline.component] = component

        def ask(component: str, request: GenerationRequest) -> Generation:
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


def _last_results(
    account: Account,
    found: "FoundSubjects",
    dataset: DatasetFacts,
    no_worse_than: str | None,
) -> dict[str, StoredEvaluation]:
    """Return what each subject may not be worse than, by its name. Raises CommandError if there is none."""
    if no_worse_than is None:
        return {}
    from adapters_cli.artifacts.evaluation_store import EvaluationStore
    from adapters_cli.artifacts.last_evaluation import last_evaluation
    from adapters_cli.fleets.fleet_status import desired_in_force

    results = EvaluationStore(account.s3)
    if no_worse_than != "last":
        if not no_worse_than.startswith(SCHEME):
            raise UsageError(f"'--no-worse-than' should be 'last' or 's3://…', got {no_worse_than!r}")
        given = results.read(no_worse_than).evaluation
        return {subject.name: given for subject in found.subjects}
    known: dict[str, Artifact] = {}
    if found.of_fleet:
        fleet_found = find_fleet(account)
        known = {adapter.name: adapter.artifact for adapter in desired_in_force(fleet_found).adapters}
    return {
        subject.name: last_evaluation(
            results,
            subject.name,
            known.get(subject.name) or Artifact(uri=subject.artifact or "", digest=subject.identity),
            dataset,
        ).evaluation
        for subject in found.subjects
    }


def _held(evaluated: "Evaluated", last: Mapping[str, StoredEvaluation]) -> "Evaluated":
    """Return the evaluation with the outcomes beside the last results, as further requirements."""
    from adapters_cli.evaluation.no_worse import no_worse_than

    result = evaluated.result
    outcomes = [
        outcome
        for name, before in last.items()
        for outcome in no_worse_than(before, StoredEvaluation.of(result, name), subject=name)
    ]
    result = replace(result, requirements=(*result.requirements, *outcomes))
    return replace(evaluated, result=result)


def _note_replaced(output: Path, dataset: DatasetFacts) -> None:
    """Say if the reports replace those over other items."""
    try:
        before = json.loads((output / RESULT_FILE).read_bytes())["dataset"]
        digest, items = str(before["digest"]), int(before["items"])
    except (OSError, ValueError, LookupError, TypeError):
        return
    if digest != dataset.digest:
        print_note(
            f"the reports in {output} were over other items ({counted(items, 'item')}), and are replaced;"
            " another --output keeps both"
        )


def _store(account: Account, result: EvaluationResult) -> None:
    from adapters_cli.artifacts.evaluation_store import EvaluationStore

    for subject in result.subjects:
        if subject.artifact is None or subject.identity is None:
            print_error(f"{subject.name}: the identity of its version is not known, so nothing is stored")
            continue
        stored = StoredEvaluation.of(result, subject.name)
        uri = EvaluationStore(account.s3).write(subject.artifact, subject.identity, stored).uri
        print_note(f"{subject.name}: its result is {uri}")


def _print(evaluated: "Evaluated", output: Path, *, as_json: bool) -> None:
    from adapters_cli.reports.screen import print_result

    result, asking = evaluated.result, evaluated.asking
    if as_json:
        document = json.loads(to_json(result))
        del document["items"]
        typer.echo(json.dumps(document | {"passed": result.passed, "output": str(output)}, indent=2))
    else:
        print_result(result)
    if asking.asked:
        print_note(
            f"{counted(asking.asked, 'answer')} in {asking.seconds:.1f} s, {asking.retries} asked again; the"
            f" command itself took {1000 * asking.own_seconds_each:.1f} ms of processor time each"
        )
    if asking.reused:
        print_note(f"{counted(asking.reused, 'answer')} of an earlier run, from {output / LOG_FILE}")
    print_note(f"the reports are in {output}")


def _too_many(evaluated: "Evaluated", allowed: int) -> bool:
    if evaluated.errors <= allowed:
        return False
    reasons = _first_errors(evaluated.result)
    print_error(
        f"{counted(evaluated.errors, 'answer')} failed, and {allowed} may (--allow-errors); the same command"
        " asks them again"
    )
    for reason in reasons:
        print_error(reason)
    return True


def _first_errors(result: EvaluationResult, most: int = 3) -> Sequence[str]:
    return [
        f"{name}, item {item.id}: {answer.error}"
        for item in result.items
        for name, answer in item.answers.items()
        if answer.error is not None
    ][:most]
