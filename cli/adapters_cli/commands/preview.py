"""`adapters preview`: bring one adapter up under a throw-away name, try it, and take it away."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from adapter_fleet.common.archive_names import ARCHIVE_SUFFIX, digest_in_key
from adapter_fleet.common.naming import check_component_name
from adapter_fleet.manifest.desired import Artifact
from adapter_fleet.serving.completions import PromptRequest
from adapter_fleet.serving.model_shape import base_named
from adapters_cli.artifacts.local_adapters import local_adapters, print_leftovers
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.s3_location import S3Location
from adapters_cli.evaluation.gate_options import (
    BertModelOption,
    EvaluateOption,
    GateOptions,
    MaxTokensOption,
    MessagesColumnOption,
    MetricOption,
    OutputOption,
    PromptColumnOption,
    ReferenceColumnOption,
    RequireOption,
    SampleOption,
    SeedOption,
    StopOption,
    TemplateOption,
)
from adapters_cli.fleets.adapter_lookup import BASE
from adapters_cli.fleets.base_place import BasePlace, base_of_endpoint, base_place
from adapters_cli.models.serving_limits import ServingLimits
from adapters_cli.output.errors import CommandError, UsageError, option_errors, reported_errors
from adapters_cli.output.exit_codes import FAILED
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.text import duration, few, print_error, print_note

_NOT_FOUND = 127
"""Exit code of a shell for a command that does not exist."""

EXAMPLES = """
# Ask it and the base model.
adapters preview out/acme --on Tenants --to s3://my-adapters/prod -p 'Hello'

# Run a command while it is there.
adapters preview out/acme --on Tenants --to s3://my-adapters/prod -- pytest
"""


def preview(
    context: typer.Context,
    adapter: Annotated[
        str, typer.Argument(metavar="DIR|ARCHIVE|S3://…", help="The adapter, on this machine or in S3.")
    ],
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
    base_model: Annotated[
        str | None,
        typer.Option("--base-model", metavar="NAME", help="Its base model; overrides its own configuration."),
    ] = None,
    evaluate: EvaluateOption = None,
    require: RequireOption = None,
    metric: MetricOption = None,
    bert_model: BertModelOption = None,
    prompt_column: PromptColumnOption = "prompt",
    reference_column: ReferenceColumnOption = "reference",
    template: TemplateOption = None,
    messages_column: MessagesColumnOption = None,
    sample: SampleOption = None,
    seed: SeedOption = 0,
    max_tokens: MaxTokensOption = 256,
    stop: StopOption = None,
    evaluation_output: OutputOption = None,
    max_lora_rank: Annotated[
        int | None, typer.Option("--max-lora-rank", metavar="N", help="Refuse higher ranks.")
    ] = None,
    container: Annotated[
        str | None,
        typer.Option("--container", metavar="NAME", help="The container, such as lmi19 or vllm2.6."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring an adapter up under a throw-away name on a real endpoint, try it there, and take it away.

    A command after -- has ADAPTER_COMPONENT, BASE_COMPONENT and ENDPOINT_NAME in its environment. Without
    prompts, a dataset and a command, the adapter is only loaded. It is taken away in any case, also after
    Ctrl-C and SIGTERM. Its archive stays in S3, where `adapters publish` finds it.

    Ends with the code of the command; with 1 if the adapter breaks a rule, does not load or answer, or does
    not meet a requirement.
    """
    with reported_errors():
        account = account_of(context)
        place = _place(account, target, endpoint)
        gate = None
        if evaluate is not None:
            gate = GateOptions.of(
                evaluate,
                require=require or (),
                no_worse_than=None,
                metric=metric or (),
                bert_model=bert_model,
                prompt_column=prompt_column,
                reference_column=reference_column,
                template=template,
                messages_column=messages_column,
                sample=sample,
                seed=seed,
                max_tokens=max_tokens,
                stop=stop or (),
            )
        elif require:
            raise UsageError("--require is for --evaluate DATASET")
        limits = _limits(account, place, container=container, max_lora_rank=max_lora_rank)
        name, artifact = _artifact(account, adapter, name, destination, limits, place, base_model)
        from adapters_cli.artifacts.temporary_component import print_leftovers_of, temporary_component

        print_leftovers_of(account, place.endpoint)
        began = account.now()
        with temporary_component(account, place.endpoint, place.base, name, artifact) as component:
            print_note(f"{component} is in service after {duration(account.now() - began)}")
            code = _ask(account, place, component, name, prompt or [], max_tokens, as_json=as_json)
            if gate is not None:
                code = _evaluate(account, place, component, name, artifact, gate, evaluation_output) or code
            if command:
                code = _run(command, place, component, name) or code
    raise typer.Exit(code)


def _place(account: Account, target: str | None, endpoint: str | None) -> BasePlace:
    if (target is None) == (endpoint is None):
        raise UsageError("on which base model? Give --on, or --endpoint")
    if endpoint is not None:
        return base_of_endpoint(account, endpoint)
    return base_place(account, target or "", option="--on")


def _limits(
    account: Account, place: BasePlace, *, container: str | None, max_lora_rank: int | None
) -> ServingLimits:
    return ServingLimits.of_options(
        account, container=container, max_lora_rank=max_lora_rank or place.max_lora_rank
    )


def _artifact(
    account: Account,
    adapter: str,
    name: str | None,
    destination: str | None,
    limits: ServingLimits,
    place: BasePlace,
    base_model: str | None,
) -> tuple[str, Artifact]:
    """Check an adapter, and upload it unless it is in S3. Return its name and its archive."""
    location = S3Location.parse(adapter)
    if location is not None:
        _check_stored(account, location, limits, base_model or place.base_model)
        default = location.key.rpartition("/")[0].rpartition("/")[2] or "adapter"
        digest = digest_in_key(location.key)
        if digest is None:
            default = location.key.rpartition("/")[2].removesuffix(ARCHIVE_SUFFIX)
        return _checked_name(name or default), Artifact(uri=location.uri, digest=digest)
    if destination is None:
        raise UsageError("where to upload the adapter? Give --to, which the endpoint's role can read")
    # Imported here: the compressor takes long to import, and other commands do without.
    from adapters_cli.artifacts.archive_store import ArchiveStore
    from adapters_cli.artifacts.publisher import publish_one

    found = local_adapters([Path(adapter)], name=name)
    if len(found) != 1:
        names = [one.name for one in found]
        raise UsageError(f"'{adapter}' should be one adapter, got {len(found)}: {few(names)}")
    result = publish_one(
        ArchiveStore(account.s3, destination), found[0], limits, base_model or place.base_model, base_model
    )
    print_leftovers([found[0].path])
    return found[0].name, Artifact(uri=result.uri or "", digest=result.identity, checksum=result.checksum)


def _checked_name(name: str) -> str:
    with option_errors():
        check_component_name(name, what="--name")
    return name


def _check_stored(
    account: Account, location: S3Location, limits: ServingLimits, base_model: str | None
) -> None:
    from adapters_cli.artifacts.checking import CheckResult, ReadOptions, check_all

    if not location.is_archive:
        raise UsageError(
            f"an adapter in S3 should be 's3://<bucket>/<key>{ARCHIVE_SUFFIX}', got {location.uri}"
        )
    base = None if base_model is None else base_named(base_model)
    known = ServingLimits(version=limits.version, lora=limits.lora, base=base)
    (checked,) = check_all(account, [location], known, ReadOptions(whole=False, weights=None))
    if checked.result is CheckResult.ERROR:
        raise CommandError("\n".join(map(str, checked.findings)))


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
    from adapters_cli.reports.answers import ComponentAnswer, ask_all, show_answers

    connected = RuntimeEndpoint.connect(place.endpoint, account)
    code, documents = 0, []
    for text in prompts:
        answers = [
            ComponentAnswer(component=place.base, name=BASE),
            ComponentAnswer(component=component, name=name),
        ]
        request = PromptRequest(prompt=text, max_tokens=max_tokens)
        pieces = ask_all(connected, request, answers, stream=False)
        if as_json:
            for _ in pieces:
                pass  # what is shown are the whole answers
            documents.append({"prompt": text, "answers": [answer.document for answer in answers]})
        else:
            show_answers(pieces, answers)
        if any(answer.error is not None for answer in answers):
            code = FAILED
    if as_json:
        print_result(documents, "", as_json=True)
    return code


def _evaluate(
    account: Account,
    place: BasePlace,
    component: str,
    name: str,
    artifact: Artifact,
    options: GateOptions,
    output: Path | None,
) -> int:
    """Evaluate the adapter beside its base model and show the result; return the exit code."""
    from adapters_cli.artifacts.version_evaluation import VersionEvaluator
    from adapters_cli.evaluation.answer_log import open_log
    from adapters_cli.reports.screen import print_result

    with ExitStack() as stack:
        folder = output or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evaluation-")))
        evaluator = VersionEvaluator(
            account=account,
            endpoint=place.endpoint,
            base=place.base,
            dataset=options.dataset,
            metrics=options.metrics,
            decoding=options.decoding,
            log=stack.enter_context(open_log(folder)),
            requirements=options.requirements,
            seed=options.seed,
        )
        result = evaluator.evaluate(name, artifact, served_by=component)
        if output is not None:
            from adapters_cli.reports.report_files import write_reports

            write_reports(result, output)
    print_result(result)
    return 0 if result.passed else FAILED


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
