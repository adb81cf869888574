"""Checks of the base model: that its files are all in the bucket, and that it fits the accelerators."""

import json
from collections.abc import Iterator, Mapping

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.counts import counted
from adapter_rules.engines.engine_settings import EngineSettings
from adapter_rules.hardware.instance_types import INSTANCES
from adapters_cli.models.capacity import Workload
from adapters_cli.models.capacity_report import CapacityReport
from adapters_cli.models.options import declared_shape
from adapters_cli.output.errors import CommandError, UsageError
from adapters_cli.output.text import few
from adapters_cli.preflight.check_outcome import Check, CheckOutcome
from adapters_cli.preflight.deployment import Deployment

_CONFIG = "config.json"
_INDEX = "model.safetensors.index.json"
_WEIGHTS = (".safetensors", ".bin", ".pt")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "tekken.json")
_MAX_INDEX_BYTES = 64 * 1024**2
_PREFIX_HINT = "'prefix' of [base_model] should be the folder that 'adapters pull' prints"


def check_model(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Look for configuration, weights and tokenizer in the bucket; for every shard that the index names."""
    check, model = Check("model"), deployment.environment.base_model
    if model.bucket is None:
        yield check.ok("the base model comes from a directory, which synth checks")
        return
    prefix = _folder(model.prefix)
    where = f"s3://{model.bucket}/{prefix}"
    remedy = _pull(model.name or "MODEL", model.bucket, prefix)
    try:
        sizes = _sizes(deployment, model.bucket, prefix)
    except ClientError as error:
        if code_of(error) != "NoSuchBucket":
            raise
        yield check.not_checked(f"there is no bucket '{model.bucket}'")
        return
    lacking = [] if _CONFIG in sizes else [_CONFIG]
    weights = [name for name in sizes if name.endswith(_WEIGHTS)]
    if not weights:
        lacking.append("weights (*.safetensors)")
    if _INDEX in sizes:
        lacking += [name for name in _shards(deployment, model.bucket, prefix) if name not in sizes]
    if empty := [name for name in (*weights, _CONFIG) if sizes.get(name) == 0]:
        yield check.error(f"{where} has empty files: {few(empty)}", remedy)
    if lacking:
        yield check.error(f"{where} is no whole model, as it lacks {few(lacking)}; {_PREFIX_HINT}", remedy)
    elif not any(name in sizes for name in _TOKENIZERS):
        yield check.warning(f"{where} has no tokenizer that is known ({few(_TOKENIZERS, 5)})", remedy)
    elif not empty:
        total = sum(sizes[name] for name in weights)
        yield check.ok(f"{where} has {counted(len(weights), 'file')} of weights, {total / 1e9:.1f} GB")


def check_memory(deployment: Deployment) -> Iterator[CheckOutcome]:
    """Count the memory of a copy, as `adapters capacity` does."""
    check, environment = Check("memory"), deployment.environment
    instance = INSTANCES.get(environment.endpoint.instance_type)
    if instance is None:
        yield check.not_checked(f"nothing is known of {environment.endpoint.instance_type}")
        return
    try:
        name, shape = declared_shape(deployment.account, environment.base_model)
    except UsageError as error:
        yield check.not_checked(str(error))
        return
    container = environment.container
    workload = Workload(
        shape=shape,
        lora=environment.lora,
        engine=EngineSettings.from_environment(container.environment, container.release.variables),
    )
    command = f"adapters capacity --environment {deployment.name}"
    try:
        sizing = workload.on(instance, environment.copies.accelerators)
    except ValueError as error:
        yield check.error(str(error), command)
        return
    report = CapacityReport(model=name, workload=workload, sizing=sizing)
    told = f"{name} on {instance.name}: {report.verdict}"
    yield check.ok(told) if report.fits else check.error(told, command)


def _pull(name: str, bucket: str, prefix: str) -> str:
    """Return the command that copies a model below a prefix, or again into the folder that it has made."""
    *above, model, commit = ["", "", *prefix.strip("/").split("/")]
    if model != name.replace("/", "--"):
        return f"adapters pull {name} s3://{bucket}/{prefix}"
    place = "/".join(filter(None, above))
    return f"adapters pull {name} s3://{bucket}/{place} --revision {commit}"


def _folder(prefix: str) -> str:
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _sizes(deployment: Deployment, bucket: str, prefix: str) -> Mapping[str, int]:
    """Return the sizes of a folder's objects by name."""
    pages = deployment.account.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {
        found["Key"].removeprefix(prefix): found["Size"]
        for page in pages
        for found in page.get("Contents", ())
    }


def _shards(deployment: Deployment, bucket: str, prefix: str) -> list[str]:
    """Return the files that the index of the weights names. Raises CommandError if it is no index."""
    read = deployment.account.s3.get_object(Bucket=bucket, Key=f"{prefix}{_INDEX}")["Body"]
    try:
        return sorted(set(json.loads(read.read(_MAX_INDEX_BYTES))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CommandError(f"s3://{bucket}/{prefix}{_INDEX} is no index of weights") from None
