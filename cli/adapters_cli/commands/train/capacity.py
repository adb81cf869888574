"""`adapters capacity`: show what fits into the accelerators' memory, and which tier adapters are in."""

from collections.abc import Collection
from dataclasses import replace
from typing import Annotated

import typer

from adapter_fleet.common.naming import known_or_meant
from adapter_fleet.manifest.manifest import Manifest
from adapter_rules.engines.engine_settings import (
    LMI_VARIABLES,
    VLLM_VARIABLES,
    EngineSettings,
    EngineVariables,
)
from adapter_rules.engines.lora_limits import LoraServing
from adapter_rules.hardware.instance_types import INSTANCES, Instance
from adapter_rules.hardware.model_shape import ModelShape
from adapters_cli.aws.account import Account, account_of
from adapters_cli.models.capacity import Workload
from adapters_cli.models.capacity_report import (
    AdapterCount,
    CapacityReport,
    Placement,
    as_document,
    notes,
    table,
)
from adapters_cli.models.options import (
    ENVIRONMENT_OPTION,
    EnvironmentFile,
    declared_shape,
    read_environment,
    shape_at,
)
from adapters_cli.output.errors import CommandError, UsageError, option_errors
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.text import print_note

EXAMPLES = """
# What does prod.toml leave of the memory?
adapters capacity --environment prod

# What if there are more slots?
adapters capacity --environment prod --max-loras 60

# Where are 200 adapters?
adapters capacity --environment prod --adapters 200
"""


def capacity(
    context: typer.Context,
    environment: Annotated[str | None, ENVIRONMENT_OPTION] = None,
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
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="Variable of the container, such as OPTION_MAX_MODEL_LEN=8192.",
        ),
    ] = None,
    adapters: Annotated[
        int | None,
        typer.Option(
            "--adapters", min=0, metavar="N", help="Number of adapters; else those of the manifests."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what fits into the accelerators' memory, and which adapters are in which tier.

    The other options override the environment file. Ends with 1 if it does not fit.
    """
    account = account_of(context)
    file = None if environment is None else read_environment(environment)
    name, shape = _shape(account, file, base_model)
    names, variables = _variables(file, options or [])
    given = {"max_loras": max_loras, "max_cpu_loras": max_cpu_loras, "max_lora_rank": max_lora_rank}
    settings = {name: value for name, value in given.items() if value is not None}
    with option_errors():
        workload = _workload(file, shape, names, variables, settings)
        instance = _instance(file, instance_type)
        sizing = workload.on(instance, _accelerators(file, instance, accelerators))
    if adapters is not None:
        count: AdapterCount | None = AdapterCount(ranks=(None,) * adapters, where="--adapters")
    else:
        count = None if file is None else _count_of_environment(file)
    report = CapacityReport(
        model=name,
        workload=workload,
        sizing=sizing,
        adapters=count,
        placement=_placement(file),
    )
    print_result(as_document(report), table(report), as_json=as_json)
    for line in () if as_json else notes(report):
        print_note(line)
    if not report.fits:
        raise CommandError(report.verdict)


def _workload(
    file: EnvironmentFile | None,
    shape: ModelShape,
    names: EngineVariables,
    variables: dict[str, str],
    settings: dict[str, int],
) -> Workload:
    """Return what each copy runs: the environment file's settings, overridden by options."""
    given = EngineSettings.from_environment(variables, names)
    if given.not_understood:
        raise UsageError(f"--option cannot be counted with: {', '.join(given.not_understood)}")
    if file is not None:
        variables = {**file.tables.container.environment, **variables}
    return Workload(
        shape=shape,
        lora=_lora(file, settings),
        engine=EngineSettings.from_environment(variables, names),
    )


def _shape(account: Account, file: EnvironmentFile | None, given: str | None) -> tuple[str, ModelShape]:
    """Return the base model's name and shape. Raises UsageError if its dimensions are unknown."""
    if given is not None:
        return shape_at(account, given)
    if file is None:
        raise UsageError("which base model? Give --base-model, or --environment")
    return declared_shape(account, file.tables.base_model)


def _lora(file: EnvironmentFile | None, given: dict[str, int]) -> LoraServing:
    """Return the limits for adapters of the file, overridden by options."""
    if file is not None:
        return replace(file.tables.lora, **given)
    if not {"max_loras", "max_lora_rank"} <= given.keys():
        raise UsageError("how many adapters? Give --max-loras and --max-lora-rank, or --environment")
    # vLLM's own default.
    return LoraServing(**{"max_cpu_loras": given["max_loras"], **given})


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
            raise UsageError(f"--option should set one of {', '.join(names.names)}, got {name!r}")
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


def _count_of_environment(file: EnvironmentFile) -> AdapterCount | None:
    """Count the adapters of an environment's stack, and of its manifests on this machine."""
    ranks: list[int | None] = [None] * len(file.tables.adapters)
    counted = [str(file.path)] if file.tables.adapters else []
    not_counted = []
    for fleet, place in file.tables.fleets.items():
        if place.manifest is None:
            not_counted.append(f"fleet {fleet} has its manifest in s3://{place.bucket}/{place.key}")
            continue
        text, folder = place.manifest.read_bytes(), place.manifest.parent
        ranks += [
            each.rank for each in Manifest.parse(text, where=str(place.manifest), folder=folder).adapters
        ]
        counted.append(str(place.manifest))
    if not counted and not not_counted:
        return None
    return AdapterCount(ranks=tuple(ranks), where=", ".join(counted), unknown="; ".join(not_counted))
