"""The options that say what adapters are checked against: base model, environment, container, LoRA limits."""

from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.naming import did_you_mean
from adapter_fleet.serving.base_model import (
    MAX_CONFIG_BYTES,
    BaseModelFacts,
    parse_model_config,
    read_model_config,
)
from adapter_rules.engines.container_releases import ContainerRelease, LmiVersion, VllmVersion
from adapter_rules.engines.lora_limits import LoraServing
from adapter_rules.hardware.model_shape import ModelShape, base_named, known_model_hint, known_shape
from adapters_cli.aws.account import Account
from adapters_cli.aws.s3_location import S3Location
from adapters_cli.output.errors import NoAnswerError, UsageError, error_text, option_errors

if TYPE_CHECKING:
    from adapter_rules.environment import BaseModelTable, Environment


_CONFIG_FILE = "config.json"


@dataclass(frozen=True, kw_only=True)
class BaseModelOption:
    """The base model that `--base-model` names.

    kind:
        Its `model_type`.
    shape:
        None if its dimensions are unknown.
    """

    facts: BaseModelFacts
    kind: object
    shape: ModelShape | None

    @classmethod
    def read(cls, given: str, account: Account) -> "BaseModelOption":
        """Read a `config.json` or the one in a directory, on this machine or in S3.

        A path that does not exist may be the name of a model that `known_shape` has. Raises UsageError for
        anything else, and NoAnswerError if S3 gives no answer.
        """
        location = S3Location.parse(given)
        if location is not None and location.bucket:
            return _stored(location, account)
        path = Path(given)
        if path.exists():
            return _local(path / _CONFIG_FILE if path.is_dir() else path)
        shape = known_shape(given)
        if shape is None:
            raise UsageError(
                "'--base-model' should be a directory, a config.json here or in S3, or one of the"
                f" known models ({known_model_hint(given)}), got {given!r}; no other model of the Hub is"
                " looked up: hf download NAME config.json --local-dir base, and name the folder"
            )
        return cls(facts=base_named(given), kind=None, shape=shape)


def check_model_name(given: str | None) -> None:
    """Raise UsageError if `--base-model` is a place, for a command that records it as the model's name."""
    if given is None:
        return
    if not given.strip() or S3Location.parse(given) is not None or Path(given).exists():
        raise UsageError(f"'--base-model' should be the name of a model and no path, got {given!r}")


def _local(path: Path) -> BaseModelOption:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES)
    except OSError as error:
        raise UsageError(
            f"'{path}' should be the configuration of a base model, got: {error.strerror}"
        ) from None
    return _of(text, str(path), path.resolve())


def _stored(location: S3Location, account: Account) -> BaseModelOption:
    key = location.key
    if not key.endswith(".json"):
        key = f"{key.rstrip('/')}/{_CONFIG_FILE}".lstrip("/")
    where = f"s3://{location.bucket}/{key}"
    try:
        text = account.s3.get_object(Bucket=location.bucket, Key=key)["Body"].read(MAX_CONFIG_BYTES)
    except (ClientError, BotoCoreError) as error:
        if isinstance(error, ClientError) and code_of(error) == "NoSuchKey":
            raise UsageError(
                f"'{where}' should be the configuration of a base model, got: {error_text(error)}"
            ) from None
        raise NoAnswerError(f"'{where}' cannot be read: {error_text(error)}") from None
    return _of(text, where, PurePosixPath(location.bucket, key))


def _of(text: bytes, where: str, path: PurePath) -> BaseModelOption:
    """Return the model of a configuration. Without a name it has the name of its folder or file."""
    folder = path.parent.name if path.name == _CONFIG_FILE else path.stem
    try:
        config = parse_model_config(text, where)
    except ValueError as error:
        raise UsageError(str(error)) from None
    facts = BaseModelFacts.from_config(config, folder=folder)
    return BaseModelOption(facts=facts, kind=config.get("model_type"), shape=ModelShape.from_config(config))


def declared_shape(account: Account, declared: "BaseModelTable") -> tuple[str, ModelShape]:
    """Return the name and shape of an environment's base model, which may be in a bucket.

    Raises UsageError if its dimensions are unknown, and NoAnswerError if S3 gives no answer.
    """
    local = declared.directory or declared.config
    if local is not None:
        return shape_at(account, str(local), name=declared.name)
    if declared.name is not None and (shape := known_shape(declared.name)) is not None:
        return declared.name, shape
    where = f"s3://{declared.bucket}/{declared.prefix.strip('/')}".rstrip("/")
    return shape_at(account, where, name=declared.name)


def shape_at(account: Account, where: str, *, name: str | None = None) -> tuple[str, ModelShape]:
    """Return the name and shape of a model as `--base-model` takes it. The given name goes before its own."""
    model = BaseModelOption.read(where, account)
    if model.shape is None:
        raise UsageError(
            f"{where}: the dimensions of a model of the type {model.kind!r} are not known: it is no dense"
            " decoder like Llama, or they are not all there"
        )
    return name or model.facts.name or where, model.shape


_FOLDER = Path("environments")
"""The folder of the app's environment files."""

ENVIRONMENT_OPTION: Any = typer.Option(
    "--environment",
    "-e",
    metavar="NAME",
    help="environments/NAME.toml of the app, or the path of any .toml file.",
    show_default=False,
)


@dataclass(frozen=True, kw_only=True)
class EnvironmentFile:
    """An environment file and its tables."""

    path: Path
    tables: "Environment"


def read_environment(name: str) -> EnvironmentFile:
    """Read `environments/<name>.toml`, or the file of that path. Raises UsageError with all its mistakes."""
    # Imported here: most commands do without.
    from adapter_rules import environment

    try:
        path = environment.find_environment(name, folder=_FOLDER, setting="--environment")
        return EnvironmentFile(path=path, tables=environment.read_environment(path))
    except environment.EnvironmentFileError as error:
        raise UsageError(str(error)) from None


@dataclass(frozen=True, kw_only=True)
class ServingLimits:
    """What adapters are checked against. None means: not checked."""

    version: ContainerRelease | None = None
    lora: LoraServing | None = None
    base: BaseModelFacts | None = None

    @classmethod
    def of_options(
        cls,
        account: Account,
        *,
        container: str | None = None,
        max_lora_rank: int | None = None,
        environment: str | None = None,
        base_model: str | None = None,
    ) -> "ServingLimits":
        """Return the limits that a command's options give. An option overrides the environment file.

        Raises UsageError for a wrong option, and NoAnswerError if a base model in S3 cannot be read.
        """
        with option_errors():
            limits = cls() if environment is None else _of_environment(environment)
            if container is not None:
                limits = replace(limits, version=_release(container))
            if max_lora_rank is not None:
                # The number of adapters in memory limits no single adapter.
                lora = LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=max_lora_rank)
                limits = replace(limits, lora=lora)
            if base_model is not None:
                limits = replace(limits, base=BaseModelOption.read(base_model, account).facts)
            if limits.version is not None and limits.lora is not None:
                limits.version.check_rank(limits.lora.max_lora_rank)
        return limits


def _of_environment(name: str) -> ServingLimits:
    file = read_environment(name)
    return ServingLimits(version=file.tables.container.release, lora=file.tables.lora, base=_base_of(file))


def _base_of(file: EnvironmentFile) -> BaseModelFacts | None:
    declared = file.tables.base_model
    name = declared.name
    config = declared.config if declared.directory is None else declared.directory / "config.json"
    if config is None:
        return None if name is None else base_named(name)
    try:
        facts = BaseModelFacts.from_config(read_model_config(config), folder=config.resolve().parent.name)
    except ValueError as error:
        raise ValueError(f"{file.path}: base_model: {error}") from None
    return facts if name is None else replace(facts, name=name, declared=True)


def _release(container: str) -> ContainerRelease:
    """Return the release of a container's name: lmi28 or 28, vllm2.6."""
    name = container.lower()
    known: dict[str, ContainerRelease] = {
        **{f"lmi{version.number}": version for version in LmiVersion},
        **{f"vllm{version.number}": version for version in VllmVersion},
    }
    release = known.get(name) or known.get(f"lmi{name}")
    if release is None:
        lmi, vllm = list(LmiVersion), list(VllmVersion)
        raise ValueError(
            f"the container should be lmi{lmi[0].number} to lmi{lmi[-1].number}, or vllm{vllm[0].number} to"
            f" vllm{vllm[-1].number}, got {container!r:.50}{did_you_mean(name, known)}"
        )
    return release
