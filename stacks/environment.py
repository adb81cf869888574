"""An environment file: everything about one deployment that a person may want to be different in another."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from aws_cdk.aws_logs import RetentionDays
from cattrs import Converter

from adapter_fleet.documents.schema import (
    StructureError,
    exactly,
    known_or_meant,
    strict_converter,
    structure,
)
from adapter_fleet.fleet.state.settings import DriftCheck, OnTimeout, UpdateMode
from adapter_fleet.serving.lmi import LMI_REGISTRY_ACCOUNTS
from multi_adapter_inference import LmiVersion, LoraServing, RoutingStrategy
from multi_adapter_inference.instance_type import check_instance_type

ENVIRONMENTS = Path(__file__).resolve().parents[1] / "environments"


_KEY_ARN = re.compile(
    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})"
)


class EnvironmentFileError(ValueError):
    """Everything that is wrong with an environment file."""


@dataclass(frozen=True, kw_only=True)
class AwsEnvironment:
    """Where to deploy; the account and region of the credentials in use by default."""

    account: str | None = None
    region: str | None = None

    def __post_init__(self) -> None:
        if self.account is not None and not re.fullmatch("[0-9]{12}", self.account):
            raise ValueError(f"'account' should be 12 digits, got {self.account!r}")
        if self.region is not None and self.region not in LMI_REGISTRY_ACCOUNTS:
            raise ValueError(
                "'region' should be one that has the LMI container"
                f" ({known_or_meant(self.region, LMI_REGISTRY_ACCOUNTS)}), got {self.region!r}"
            )


@dataclass(frozen=True, kw_only=True)
class BaseModelSettings:
    """The base model: in a bucket, in a directory or on the Hugging Face Hub.

    One on the hub is downloaded by the container when it starts, or copied to a bucket by the deployment
    (`copy_to_bucket`). `token_secret` is the name of a secret in Secrets Manager.
    """

    bucket: str | None = None
    prefix: str = ""
    directory: Path | None = None
    hub: str | None = None
    revision: str | None = None
    copy_to_bucket: str | None = None
    token_secret: str | None = None
    hub_endpoint: str | None = None
    copy_timeout_minutes: float | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        _check_one_of(bucket=self.bucket, directory=self.directory, hub=self.hub)
        _check_goes_with(
            "prefix", self.prefix or None, bucket=self.bucket, copy_to_bucket=self.copy_to_bucket
        )
        _check_goes_with("revision", self.revision, hub=self.hub)
        _check_goes_with("copy_to_bucket", self.copy_to_bucket, hub=self.hub)
        for setting in ("token_secret", "hub_endpoint", "copy_timeout_minutes"):
            _check_goes_with(setting, getattr(self, setting), copy_to_bucket=self.copy_to_bucket)
        if self.copy_to_bucket is not None and self.revision is None:
            raise ValueError("'revision' should be given with copy_to_bucket, got nothing")
        _check_goes_with(
            "name",
            self.name,
            bucket=self.bucket,
            directory=self.directory,
            copy_to_bucket=self.copy_to_bucket,
        )
        _check_buckets(self, "bucket", "copy_to_bucket")
        _check_filled(self, "hub", "revision", "token_secret", "name")
        _check_positive(self, "copy_timeout_minutes")


@dataclass(frozen=True, kw_only=True)
class ContainerSettings:
    """The LMI release and further settings of the container."""

    lmi_version: LmiVersion
    environment: dict[str, str] = field(default_factory=dict)
    inference_ami_version: str | None = None

    def __post_init__(self) -> None:
        _check_filled(self, "inference_ami_version")


@dataclass(frozen=True, kw_only=True)
class InstanceFacts:
    """What one instance of a type has, for a type that is newer than the library."""

    accelerators: int | None = None
    accelerator_memory_gib: int | None = None
    memory_gib: int | None = None
    vcpus: int | None = None
    local_storage: bool | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "accelerators", "accelerator_memory_gib", "memory_gib", "vcpus")
        if all(getattr(self, fact.name) is None for fact in fields(self)):
            raise ValueError(
                f"one of {', '.join(fact.name for fact in fields(self))} should be given, got none"
            )


@dataclass(frozen=True, kw_only=True)
class EndpointSettings:
    """The endpoint's instances and the names of its components."""

    instance_type: str
    instance_count: int = 1
    instance: InstanceFacts | None = None
    network_isolation: bool | None = None
    routing_strategy: RoutingStrategy = RoutingStrategy.LEAST_OUTSTANDING_REQUESTS
    component_prefix: str | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "instance_count")
        _check_filled(self, "component_prefix")
        if self.instance is None:
            check_instance_type("instance_type", self.instance_type)


@dataclass(frozen=True, kw_only=True)
class CopySettings:
    """What each copy of the base model takes, how many there are and how long one may take to start."""

    count: int = 1
    accelerators: int | None = None
    cpu_cores: float | None = None
    min_memory_mib: int
    max_memory_mib: int | None = None
    model_download_timeout_seconds: int | None = None
    health_check_timeout_seconds: int | None = None

    def __post_init__(self) -> None:
        _check_positive(self, *(setting.name for setting in fields(self)))


@dataclass(frozen=True, kw_only=True)
class ArtifactSourceSettings:
    """A prefix of a bucket that holds adapters."""

    bucket: str
    prefix: str = ""

    def __post_init__(self) -> None:
        _check_buckets(self, "bucket")


@dataclass(frozen=True, kw_only=True)
class AdapterSettings:
    """One adapter: a directory of this machine, or an archive in a bucket."""

    directory: Path | None = None
    uri: str | None = None

    def __post_init__(self) -> None:
        _check_one_of(directory=self.directory, uri=self.uri)


@dataclass(frozen=True, kw_only=True)
class SmokeSettings:
    """A request that an adapter has to answer before it is believed to be in service."""

    prompt: str | None = None
    max_tokens: int | None = None
    body: dict[str, Any] | None = None
    expect: str | None = None

    def __post_init__(self) -> None:
        _check_one_of(prompt=self.prompt, body=self.body)
        _check_goes_with("max_tokens", self.max_tokens, prompt=self.prompt)
        _check_positive(self, "max_tokens")


@dataclass(frozen=True, kw_only=True)
class FleetSettings:
    """A fleet of adapters: its manifest, a file or an object in a bucket, and how the fleet is kept."""

    manifest: Path | None = None
    bucket: str | None = None
    key: str | None = None
    enable_events: bool = True
    reread_every_minutes: int = 15
    buckets: dict[str, str] = field(default_factory=dict)
    component_prefix: str | None = None
    failure_share: float | None = None
    failure_at_most: int | None = None
    strict: bool = False
    deletion_guard: bool = True
    deletion_share: float | None = None
    deletion_above: int | None = None
    allow_empty: bool = False
    update_mode: UpdateMode = UpdateMode.IN_PLACE
    request_rate: float = 5.0
    timeout_minutes: float = 50
    on_timeout: OnTimeout = OnTimeout.SUCCEED
    drift_check: DriftCheck | None = None
    drift_every_minutes: int | None = None
    allow_base_replacement: bool = False
    keep_registry: bool = False
    smoke: SmokeSettings | None = None

    def __post_init__(self) -> None:
        _check_one_of(manifest=self.manifest, bucket=self.bucket)
        _check_goes_with("key", self.key, bucket=self.bucket)
        if self.bucket is not None and self.key is None:
            raise ValueError("'key' should be given with bucket, got nothing")
        _check_buckets(self, "bucket")
        for alias, bucket in self.buckets.items():
            _check_bucket(f"buckets.{alias}", bucket)
        _check_filled(self, "component_prefix")
        if self.strict:
            for name in ("failure_share", "failure_at_most"):
                _check_left_out(self, name, "strict is on")
        if self.failure_at_most is not None:
            _check_left_out(self, "failure_share", "failure_at_most is given")
        if not self.deletion_guard:
            for name in ("deletion_share", "deletion_above", "allow_empty"):
                _check_left_out(self, name, "deletion_guard is off")
        _check_goes_with("drift_every_minutes", self.drift_every_minutes, drift_check=self.drift_check)
        _check_positive(
            self, "drift_every_minutes", "reread_every_minutes", "request_rate", "timeout_minutes"
        )


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The VPC of the containers and of all functions: what they reach goes through its subnets."""

    vpc: str
    subnets: list[str]
    security_groups: list[str]

    def __post_init__(self) -> None:
        for setting, prefix, values in (
            ("vpc", "vpc-", [self.vpc]),
            ("subnets", "subnet-", self.subnets),
            ("security_groups", "sg-", self.security_groups),
        ):
            if not values:
                raise ValueError(f"'{setting}' should have at least one id, got none")
            for value in values:
                if not re.fullmatch(f"{prefix}[0-9a-f]{{8,17}}", value):
                    raise ValueError(f"'{setting}' should be ids such as '{prefix}0a1b2c3d', got {value!r}")


@dataclass(frozen=True, kw_only=True)
class EncryptionSettings:
    """The key of the account that encrypts tables, logs, queues, functions and storage volumes."""

    key_arn: str

    def __post_init__(self) -> None:
        if not _KEY_ARN.fullmatch(self.key_arn):
            raise ValueError(
                "'key_arn' should be the ARN of a key, such as"
                f" 'arn:aws:kms:us-east-1:111122223333:key/…', got {self.key_arn!r}"
            )


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """How long the logs of functions and state machines are kept, as the CDK calls it: `one_year`."""

    retention: str = "three_months"

    def __post_init__(self) -> None:
        known = [name.lower() for name in RetentionDays.__members__]
        if self.retention not in known:
            meant = known_or_meant(self.retention, known)
            raise ValueError(
                f"'retention' should be a time that CloudWatch Logs has ({meant}), got {self.retention!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One deployment. Relative paths are relative to the file."""

    aws: AwsEnvironment = AwsEnvironment()
    base_model: BaseModelSettings
    container: ContainerSettings
    lora: LoraServing
    endpoint: EndpointSettings
    copies: CopySettings
    artifact_sources: list[ArtifactSourceSettings] = field(default_factory=list)
    adapters: dict[str, AdapterSettings] = field(default_factory=dict)
    fleets: dict[str, FleetSettings] = field(default_factory=dict)
    network: NetworkSettings | None = None
    encryption: EncryptionSettings | None = None
    logs: LogSettings = LogSettings()
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "" in self.adapters:
            raise ValueError("'adapters' should give each adapter a name, got an empty one")
        for name in self.fleets:
            if not re.fullmatch("[A-Za-z][A-Za-z0-9]*", name):
                raise ValueError(
                    "'fleets' should give each fleet a name of letters and digits, as it begins those of its"
                    f" outputs, got {name!r}"
                )


def environment_file(name: str) -> Path:
    """Return the file of an environment, by its name in `environments/` or by the path of any `.toml`."""
    path = Path(name) if name.endswith(".toml") else ENVIRONMENTS / f"{name}.toml"
    if not path.is_file():
        existing = ", ".join(sorted(file.stem for file in ENVIRONMENTS.glob("*.toml")))
        raise EnvironmentFileError(
            f"'environment' should be one of {existing}, or the path of a .toml file, got {name!r}"
        )
    if not re.fullmatch("[A-Za-z0-9-]+", path.stem):
        raise EnvironmentFileError(
            "'environment' should be a file whose name is letters, digits and hyphens, as it ends the stack's"
            f" name, got {path.name!r}"
        )
    return path


def load(path: Path) -> Environment:
    """Read an environment file.

    Raises EnvironmentFileError with a line for each thing that is wrong: file, key, what and what was got.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EnvironmentFileError(f"{path}: not a TOML document: {error}") from None
    try:
        return structure(_converter(path.parent), data, Environment, words=_WORDS)
    except StructureError as error:
        raise EnvironmentFileError("\n".join(f"{path}: {problem}" for problem in error.problems)) from None


def _check_one_of(**settings: object) -> None:
    given = [name for name, value in settings.items() if value is not None]
    if len(given) != 1:
        raise ValueError(f"one of {', '.join(settings)} should be given, got {' and '.join(given) or 'none'}")


def _check_goes_with(name: str, value: object, **choices: object) -> None:
    if value is not None and all(choice is None for choice in choices.values()):
        raise ValueError(f"'{name}' should be given with {' or '.join(choices)} only, got {value!r}")


def _check_left_out(settings: object, name: str, when: str) -> None:
    value = getattr(settings, name)
    if value is not None and value is not False:
        raise ValueError(f"'{name}' should be left out when {when}, got {value}")


def _check_filled(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and not value.strip():
            raise ValueError(f"'{name}' should not be empty, got {value!r}")


def _check_buckets(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None:
            _check_bucket(name, value)


def _check_bucket(setting: str, name: str) -> None:
    if not re.fullmatch("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        raise ValueError(
            f"'{setting}' should be the name of a bucket, 3 to 63 small letters, digits, dots and hyphens,"
            f" got {name!r}"
        )


def _check_positive(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and value <= 0:
            raise ValueError(f"'{name}' should be above 0, got {value}")


def _converter(folder: Path) -> Converter:
    converter = strict_converter()
    converter.register_structure_hook(Path, lambda value, _: folder / exactly(value, str))
    converter.register_structure_hook(LmiVersion, lambda value, _: LmiVersion.numbered(exactly(value, int)))
    return converter


# What TOML calls them.
_WORDS: dict[type, str] = {list: "an array", dict: "a table", LmiVersion: "an integer"}
