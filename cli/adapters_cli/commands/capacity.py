"""`adapters capacity`: show what fits into the accelerators' memory, and which tier adapters are in."""

import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from adapter_fleet.aws.metric_reader import MetricReader
from adapter_fleet.common.counts import counted
from adapter_fleet.common.near_names import known_or_meant
from adapter_fleet.manifest.manifest import Manifest, ManifestError
from adapter_fleet.serving.capacity import Workload
from adapter_fleet.serving.engine_settings import (
    LMI_VARIABLES,
    VLLM_VARIABLES,
    EngineSettings,
    EngineVariables,
)
from adapter_fleet.serving.gpu_memory import GIB, OTHER_BYTES
from adapter_fleet.serving.instance_types import INSTANCES, Instance
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.model_shape import ModelShape
from adapter_fleet.usage.working_set import Room, WorkingSet, period_of
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.s3_location import S3Location
from adapters_cli.fleets.fleet_lookup import find_fleet, newest_generation
from adapters_cli.fleets.fleet_status import desired_by, in_force
from adapters_cli.fleets.room_advice import advice, lora_limits
from adapters_cli.manifests.stored_manifest import StoredManifest
from adapters_cli.models.base_model_option import declared_shape, shape_at
from adapters_cli.models.capacity_report import (
    AdapterCount,
    CapacityReport,
    Placement,
    as_document,
    rows,
    screen,
)
from adapters_cli.models.environment_option import EnvironmentFile, EnvironmentOption, read_environment
from adapters_cli.output.errors import CommandError, NoAnswerError, UsageError, option_errors, reported_errors
from adapters_cli.output.exit_codes import FAILED
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import one_line, print_note

_MAX_LARGER = 6

EXAMPLES = """
# What does prod.toml leave of the memory?
adapters capacity --environment prod

# Count the adapters of a manifest, with more slots.
adapters capacity --environment prod --manifest adapters.yaml --max-loras 60

# How many adapters are asked at a time, and is there room for them?
adapters capacity --from-usage --stack Tenants
"""


def capacity(
    context: typer.Context,
    environment: EnvironmentOption = None,
    base_model: Annotated[
        str | None,
        typer.Option(
            "--base-model",
            metavar="MODEL",
            help="The model's directory, its config.json here or in S3 (s3://…), or a well-known name.",
        ),
    ] = None,
    instance_type: Annotated[
        str | None,
        typer.Option("--instance-type", metavar="TYPE", help="Instance type, such as ml.g5.12xlarge."),
    ] = None,
    accelerators: Annotated[
        int | None,
        typer.Option(
            "--accelerators", min=1, metavar="N", help="Accelerators of one copy; else all of the instance."
        ),
    ] = None,
    max_loras: Annotated[
        int | None, typer.Option("--max-loras", min=1, metavar="N", help="Adapters in GPU memory (slots).")
    ] = None,
    max_cpu_loras: Annotated[
        int | None,
        typer.Option(
            "--max-cpu-loras", min=1, metavar="N", help="Adapters in CPU memory, including the slots."
        ),
    ] = None,
    max_lora_rank: Annotated[
        int | None, typer.Option("--max-lora-rank", min=1, metavar="R", help="The rank of a slot.")
    ] = None,
    fully_sharded: Annotated[
        bool, typer.Option("--fully-sharded", help="Shard both LoRA matrices of a slot.")
    ] = False,
    not_fully_sharded: Annotated[
        bool, typer.Option("--not-fully-sharded", help="Shard one of them, whatever the environment says.")
    ] = False,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="Variable of the container, such as OPTION_MAX_MODEL_LEN=8192 (LMI) or"
            " SM_VLLM_MAX_MODEL_LEN=8192 (vLLM).",
        ),
    ] = None,
    other: Annotated[
        float | None,
        typer.Option(
            "--other-gib",
            min=0,
            metavar="GIB",
            help=f"What else the engine takes of an accelerator; {OTHER_BYTES / GIB:g} is an estimate.",
        ),
    ] = None,
    manifest: Annotated[
        str | None,
        typer.Option("--manifest", metavar="FILE", help="Count the adapters of a manifest, here or in S3."),
    ] = None,
    adapters: Annotated[
        int | None, typer.Option("--adapters", min=0, metavar="N", help="Number of adapters to count with.")
    ] = None,
    from_usage: Annotated[
        bool,
        typer.Option("--from-usage", help="Show how many adapters of a live fleet are asked at a time."),
    ] = False,
    since: Annotated[
        int, typer.Option("--hours", min=1, max=360, metavar="N", help="How far --from-usage looks back.")
    ] = 3,
    as_json: JsonOption = False,
) -> None:
    """Show what fits into the accelerators' memory, and which adapters are in which tier.

    The other options override the environment file. Ends with 1 if it does not fit.

    --from-usage shows how many adapters of a live fleet are asked at a time, beside the room for them, and
    the setting to change. It ends with 1 if more are asked than there is room for.
    """
    if from_usage:
        if (environment, manifest, adapters) != (None, None, None):
            raise typer.BadParameter(
                "--from-usage is about a live fleet; leave out --environment, --manifest and --adapters"
            )
        with reported_errors():
            account = account_of(context)
            raise typer.Exit(_show_usage(account, hours=since, as_json=as_json))
    live = account_of(context).names_fleet
    if sum((manifest is not None, adapters is not None, live)) > 1:
        raise typer.BadParameter("--manifest, --adapters and a live fleet all say how many; give one of them")
    with reported_errors():
        account = account_of(context)
        file = None if environment is None else read_environment(environment)
        name, shape = _shape(account, file, base_model)
        names, variables = _variables(file, options or [])
        if fully_sharded and not_fully_sharded:
            raise UsageError("--fully-sharded and --not-fully-sharded exclude each other; give one of them")
        sharded = True if fully_sharded else False if not_fully_sharded else None
        settings = _settings(max_loras, max_cpu_loras, max_lora_rank, sharded)
        with option_errors():
            workload = _workload(file, shape, names, variables, settings, other)
            instance = _instance(file, instance_type)
            sizing = workload.on(instance, _accelerators(file, instance, accelerators))
        if live:
            count: AdapterCount | None = _count_of_fleet(account)
        elif adapters is not None:
            count = AdapterCount(ranks=(None,) * adapters, where="--adapters")
        else:
            count = _declared_count(account, file, manifest)
        report = CapacityReport(
            model=name,
            workload=workload,
            sizing=sizing,
            larger=tuple(workload.on_larger(sizing))[:_MAX_LARGER],
            adapters=count,
            placement=_placement(file),
        )
        _print_report(report, as_json=as_json)
        if not report.fits:
            raise CommandError(report.verdict)


def _show_usage(account: Account, *, hours: int, as_json: bool) -> int:
    """Print how many adapters are asked at a time; return the exit code."""
    found = find_fleet(account)
    newest = newest_generation(found)
    limits = lora_limits(account, newest.request.target.base)
    if limits is None:
        raise CommandError("the container of the base model does not tell how many adapters it has room for")
    components = [
        adapter.component for adapter in desired_by(found.registry, in_force(found.registry, newest)).adapters
    ]
    end, period = account.now(), period_of(hours * 3600)
    begin = (end - hours * 3600) // period * period
    requests = MetricReader(account.client("cloudwatch")).requests(components, begin, end, period=period)
    working = WorkingSet.of(requests, period=period)
    given = advice(working, limits, len(components))
    document = {
        "adapters": len(components),
        "asked": working.asked,
        "period_seconds": working.period,
        "at_a_time": {
            "median": working.percentile(50),
            "p95": working.usual,
            "most": working.percentile(100),
        },
        "max_loras": limits.max_loras,
        "max_cpu_loras": limits.max_cpu_loras,
        "advice": {setting: {"room": room, "text": text} for setting, (room, text) in given.items()},
    }
    if not as_json:
        print_note(
            f"{working.asked} of {counted(len(components), 'adapter')} asked within {hours} h\n"
            f"in {working.period} s at a time: {working.percentile(50)} usually, {working.usual} in 95 % of"
            f" the time, {working.percentile(100)} at most"
        )
    rows = [(key, *why) for key, why in given.items()]
    table = RowTable(headings=("SETTING", "ROOM", "WHY"), rows=rows, styled=1)
    print_result(document, table, as_json=as_json)
    return FAILED if any(room is Room.OUTGROWN for room, _ in given.values()) else 0


def _print_report(report: CapacityReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(as_document(report), indent=2))
    elif sys.stdout.isatty():
        Console().print(screen(report))
    else:
        for row in rows(report):
            typer.echo("\t".join(map(one_line, row)))


def _workload(
    file: EnvironmentFile | None,
    shape: ModelShape,
    names: EngineVariables,
    variables: dict[str, str],
    settings: dict[str, object],
    other_gib: float | None,
) -> Workload:
    """Return what each copy runs: the environment file's settings, overridden by options."""
    given = EngineSettings.from_environment(variables, names)
    if given.not_understood:
        raise UsageError(f"--option cannot be counted with: {', '.join(given.not_understood)}")
    if file is not None:
        variables = {**file.tables.container.environment, **variables}
    return Workload(
        shape=shape,
        lora=_lora(file, settings, given.lora),
        engine=EngineSettings.from_environment(variables, names),
        other=OTHER_BYTES if other_gib is None else round(other_gib * GIB),
    )


def _shape(account: Account, file: EnvironmentFile | None, given: str | None) -> tuple[str, ModelShape]:
    """Return the base model's name and shape. Raises UsageError if its dimensions are unknown."""
    if given is not None:
        return shape_at(account, given)
    if file is None:
        raise UsageError("which base model? Give --base-model, or --environment")
    return declared_shape(account, file.tables.base_model)


def _settings(
    max_loras: int | None, max_cpu_loras: int | None, max_lora_rank: int | None, fully_sharded: bool | None
) -> dict[str, object]:
    settings = {
        "max_loras": max_loras,
        "max_cpu_loras": max_cpu_loras,
        "max_lora_rank": max_lora_rank,
        "fully_sharded": fully_sharded,
    }
    return {name: value for name, value in settings.items() if value is not None}


def _lora(
    file: EnvironmentFile | None, given: dict[str, object], in_container: Mapping[str, object]
) -> LoraServing:
    """Return the LoRA settings of the file, overridden by options and by the container's variables."""
    if twice := given.keys() & in_container.keys():
        names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(twice))
        raise UsageError(f"{names}: --option says it as well; give one of them")
    changes: dict[str, Any] = {**given, **in_container}
    if file is not None:
        return replace(file.tables.lora, **changes)
    if not {"max_loras", "max_lora_rank"} <= changes.keys():
        raise UsageError("how many adapters? Give --max-loras and --max-lora-rank, or --environment")
    # vLLM's own default.
    return LoraServing(**{"max_cpu_loras": changes["max_loras"], **changes})


def _instance(file: EnvironmentFile | None, given: str | None) -> Instance:
    name = given or (file.tables.endpoint.instance_type if file is not None else None)
    if name is None:
        raise UsageError("on which instances? Give --instance-type, or --environment")
    if name not in INSTANCES:
        raise UsageError(
            f"nothing is known of the instance type {name!r} ({known_or_meant(name, INSTANCES)})"
        )
    return INSTANCES[name]


def _accelerators(file: EnvironmentFile | None, instance: Instance, given: int | None) -> int:
    if given is not None:
        return given
    if file is None:
        return instance.accelerators
    declared = INSTANCES.get(file.tables.endpoint.instance_type)
    if declared is None or declared.name == instance.name:
        return file.tables.copies.accelerators
    # For another instance type than the file's: all accelerators, if a copy has all of the file's type.
    whole = file.tables.copies.accelerators == declared.accelerators
    return instance.accelerators if whole else min(file.tables.copies.accelerators, instance.accelerators)


def _variables(file: EnvironmentFile | None, options: list[str]) -> tuple[EngineVariables, dict[str, str]]:
    """Return the names that the container has for its variables, and the variables of `--option`."""
    for option in options:
        if "=" not in option:
            raise UsageError(f"--option should be NAME=VALUE, got {option!r}")
    given = dict(option.split("=", 1) for option in options)
    names = _names(file, given)
    for name in given:
        if name not in names.names:
            counted = ", ".join(names.names)
            raise UsageError(f"--option: {name!r} changes nothing that is counted; counted are {counted}")
    return names, given


def _names(file: EnvironmentFile | None, given: Collection[str]) -> EngineVariables:
    """Return the names of the file's container; without a file, vLLM's if an option has one of them."""
    if file is not None:
        return file.tables.container.release.variables
    return VLLM_VARIABLES if set(VLLM_VARIABLES.names) & set(given) else LMI_VARIABLES


def _placement(file: EnvironmentFile | None) -> Placement:
    if file is None:
        return Placement()
    return Placement(
        copies=file.tables.copies.count,
        instances=file.tables.endpoint.instance_count,
        min_memory_mib=file.tables.copies.min_memory_mib,
    )


def _count_of_manifest(account: Account, where: str) -> AdapterCount:
    if (location := S3Location.of_manifest(where)) is not None:
        stored = StoredManifest.read(account.s3, location.bucket, location.key)
        if stored.etag is None:
            raise NoAnswerError(f"{where}: there is no such object")
        text, folder = stored.text, None
    else:
        text, folder = Path(where).read_bytes(), Path(where).parent
    try:
        read = Manifest.parse(text, where=where, folder=folder)
    except ManifestError as error:
        raise CommandError(str(error)) from None
    return AdapterCount(ranks=tuple(adapter.rank for adapter in read.adapters), where=where)


def _count_of_fleet(account: Account) -> AdapterCount:
    fleet = find_fleet(account)
    active = in_force(fleet.registry, newest_generation(fleet))
    adapters = desired_by(fleet.registry, active).adapters
    return AdapterCount(ranks=tuple(adapter.rank for adapter in adapters), where=f"fleet {fleet.record.name}")


def _declared_count(
    account: Account, file: EnvironmentFile | None, manifest: str | None
) -> AdapterCount | None:
    """Count the adapters of a manifest, or else of an environment file; None without either."""
    if manifest is not None:
        return _count_of_manifest(account, manifest)
    return None if file is None else _count_of_environment(account, file)


def _count_of_environment(account: Account, file: EnvironmentFile) -> AdapterCount | None:
    """Count the adapters of an environment's stack, and of its manifests on this machine."""
    ranks: list[int | None] = [None] * len(file.tables.adapters)
    counted = [str(file.path)] if file.tables.adapters else []
    not_counted = []
    for fleet, place in file.tables.fleets.items():
        if place.manifest is None:
            not_counted.append(f"fleet {fleet} has its manifest in s3://{place.bucket}/{place.key}")
            continue
        count = _count_of_manifest(account, str(place.manifest))
        ranks += count.ranks
        counted.append(count.where)
    if not counted and not not_counted:
        return None
    return AdapterCount(ranks=tuple(ranks), where=", ".join(counted), unknown="; ".join(not_counted))
