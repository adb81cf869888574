"""The environment file of the app: what differs between two deployments, and how it is read.

Everything else is Python, in `stacks/multi_adapter_inference_stack.py`. The app and the `adapters` command
both read the file with `read_environment`.
"""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from cattrs import Converter

from adapter_fleet.common.naming import did_you_mean, known_or_meant
from adapter_fleet.documents.schema import StructureError, exactly, strict_converter, structure
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FleetSettings, ReleaseSettings
from adapter_rules.engines.container_releases import (
    REGISTRY_ACCOUNTS,
    ContainerRelease,
    LmiVersion,
    VllmVersion,
)
from adapter_rules.engines.lora_limits import LoraServing
from adapter_rules.engines.scaling_metric import DEFAULT_CONCURRENT_REQUESTS

_TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[\w-]{1,256}(\.fifo)?")
_KEY_ARN = re.compile(
    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})"
)


@dataclass(frozen=True, kw_only=True)
class AwsTable:
    """`[aws]`: where to deploy. Default: the account and region of the credentials in use."""

    account: str | None = None
    region: str | None = None

    def __post_init__(self) -> None:
        if self.account is not None and not re.fullmatch("[0-9]{12}", self.account):
            raise ValueError(f"'account' should be 12 digits, got {self.account!r}")
        if self.region is not None and self.region not in REGISTRY_ACCOUNTS:
            raise ValueError(
                "'region' should be one that has AWS's containers"
                f" ({known_or_meant(self.region, REGISTRY_ACCOUNTS)}), got {self.region!r}"
            )


@dataclass(frozen=True, kw_only=True)
class BaseModelTable:
    """`[base_model]`: the base model. Give `bucket` or `directory`.

    prefix:
        The folder of the bucket with the model's files.
    directory:
        A small model on this machine, which the deployment uploads.
    name:
        The name that adapters have for the model. Adapters of another one get a warning.
    config:
        A copy of the `config.json` of a model in a bucket, to check its memory. Default: that of the
        well-known model of that name.
    """

    bucket: str | None = None
    prefix: str = ""
    directory: Path | None = None
    name: str | None = None
    config: Path | None = None

    def __post_init__(self) -> None:
        _check_one_of(bucket=self.bucket, directory=self.directory)
        _check_goes_with("config", self.config, bucket=self.bucket)
        _check_goes_with("prefix", self.prefix or None, bucket=self.bucket)


@dataclass(frozen=True, kw_only=True)
class ContainerTable:
    """`[container]`: the container and its release: `lmi_version` or `vllm_version`.

    environment:
        More settings of the container, such as `OPTION_MAX_MODEL_LEN`.
    """

    lmi_version: LmiVersion | None = None
    vllm_version: VllmVersion | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_one_of(lmi_version=self.lmi_version, vllm_version=self.vllm_version)

    @property
    def release(self) -> ContainerRelease:
        """The release of the container."""
        release = self.lmi_version or self.vllm_version
        assert release is not None  # one of the two is given
        return release


@dataclass(frozen=True, kw_only=True)
class EndpointTable:
    """`[endpoint]`: the endpoint's instances and the names of its components.

    instance_count:
        The number of instances. With `[scaling]`, the first one.
    component_prefix:
        Begins the name of each component. Default: made from the stack's name.
    """

    instance_type: str
    instance_count: int = 1
    component_prefix: str | None = None


@dataclass(frozen=True, kw_only=True)
class CopiesTable:
    """`[copies]`: how many copies of the base model run, what each takes and how long it may start.

    count:
        The number of copies. With `[scaling]`, the first one.
    accelerators:
        The GPUs of a copy.
    min_memory_mib:
        The CPU memory of a copy, in MiB.
    model_download_timeout_seconds:
        How long SageMaker may take for the model's files.
    health_check_timeout_seconds:
        How long the container may take to its first healthy answer.
    """

    count: int = 1
    accelerators: int
    min_memory_mib: int
    model_download_timeout_seconds: int | None = None
    health_check_timeout_seconds: int | None = None

    def __post_init__(self) -> None:
        for name in ("count", "accelerators", "min_memory_mib"):
            if getattr(self, name) <= 0:
                raise ValueError(f"'{name}' should be above 0, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class ScalingTable:
    """`[scaling]`: how many copies of the base model may run.

    min_copies:
        With 0, the last copy ends when no requests come.
    max_instances:
        The most instances that copies may start.
    target:
        The concurrent requests that each copy should have.
    """

    min_copies: int
    max_copies: int
    max_instances: int | None = None
    target: float = DEFAULT_CONCURRENT_REQUESTS


@dataclass(frozen=True, kw_only=True)
class ArtifactSourceTable:
    """`[[artifact_sources]]`: a prefix of a bucket that holds adapters."""

    bucket: str
    prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class AdapterTable:
    """`[adapters.<name>]`: one adapter. Give its `directory` on this machine, or the `uri` of its archive."""

    directory: Path | None = None
    uri: str | None = None

    def __post_init__(self) -> None:
        _check_one_of(directory=self.directory, uri=self.uri)


@dataclass(frozen=True, kw_only=True)
class SmokeTable:
    """`[fleets.<name>.smoke]`: what an adapter is asked before it counts as in service.

    expect:
        A regular expression that has to match somewhere in the answer. Default: any answer will do.
    """

    prompt: str
    expect: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReleasesTable:
    """`[fleets.<name>.releases]`: each version is a component of its own, and callers look up which answers.

    keep:
        How many earlier versions of each adapter stay in service.
    canary:
        The rising shares of callers, in percent, that a new version answers first.
    """

    keep: int = ReleaseSettings.keep
    canary: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class FleetTable:
    """`[fleets.<name>]`: a fleet's manifest, in a file or in a bucket, and what a deployment may do.

    manifest:
        The file. Or give `bucket` and `key`, where commands may change the manifest without a deployment.
    buckets:
        The aliases that the manifest uses, with the names of their buckets.
    component_prefix:
        Begins the names of this fleet's components. Default: that of `[endpoint]`.
    request_rate:
        The most writes a second to SageMaker.
    drift_check:
        What to do every 15 minutes about changes by hand. Default: a report every hour.
    smoke:
        Default: no request.
    base_model:
        Which of `[base_models]` it runs on. Default: `[base_model]`.
    releases:
        Default: updates in place.
    evaluation:
        What a new version's evaluation should reach, such as `rougeL >= 0.4`.
    allow_empty:
        Whether a manifest without adapters may delete all of them.
    allow_base_replacement:
        Whether adapters may move to another endpoint or base component. They do not answer meanwhile.
    """

    manifest: Path | None = None
    bucket: str | None = None
    key: str | None = None
    buckets: dict[str, str] = field(default_factory=dict)
    component_prefix: str | None = None
    request_rate: float = FleetSettings.request_rate
    drift_check: DriftAction | None = None
    smoke: SmokeTable | None = None
    base_model: str | None = None
    releases: ReleasesTable | None = None
    evaluation: list[str] = field(default_factory=list)
    allow_empty: bool = False
    allow_base_replacement: bool = False

    def __post_init__(self) -> None:
        _check_one_of(manifest=self.manifest, bucket=self.bucket)
        _check_goes_with("key", self.key, bucket=self.bucket)
        if self.bucket is not None and self.key is None:
            raise ValueError("'key' should be given with bucket, got nothing")


@dataclass(frozen=True, kw_only=True)
class FurtherBaseTable:
    """`[base_models.<name>]`: another base model on the same instances. Commands do not check it."""

    model: BaseModelTable
    container: ContainerTable
    lora: LoraServing
    copies: CopiesTable


@dataclass(frozen=True, kw_only=True)
class NetworkTable:
    """`[network]`: the VPC of the containers and of all functions. Their traffic uses its subnets."""

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
class EncryptionTable:
    """`[encryption]`: the KMS key of tables, logs, queues, functions, and volumes that are not local."""

    key_arn: str

    def __post_init__(self) -> None:
        if not _KEY_ARN.fullmatch(self.key_arn):
            raise ValueError(
                "'key_arn' should be the ARN of a key, such as"
                f" 'arn:aws:kms:us-east-1:111122223333:key/…', got {self.key_arn!r}"
            )


@dataclass(frozen=True, kw_only=True)
class MonitoringTable:
    """`[monitoring]`: a dashboard and alarms for each fleet.

    topic_arn:
        The SNS topic that alarms are sent to.
    usage_by:
        The tags of the manifest by which requests are counted.
    """

    topic_arn: str | None = None
    usage_by: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.topic_arn is not None and not _TOPIC_ARN.fullmatch(self.topic_arn):
            raise ValueError(
                "'topic_arn' should be the ARN of a topic, such as"
                f" 'arn:aws:sns:us-east-1:111122223333:on-call', got {self.topic_arn!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A whole environment file: one deployment. Relative paths are relative to the file."""

    aws: AwsTable = AwsTable()
    base_model: BaseModelTable
    container: ContainerTable
    lora: LoraServing
    endpoint: EndpointTable
    copies: CopiesTable
    scaling: ScalingTable | None = None
    artifact_sources: list[ArtifactSourceTable] = field(default_factory=list)
    adapters: dict[str, AdapterTable] = field(default_factory=dict)
    fleets: dict[str, FleetTable] = field(default_factory=dict)
    base_models: dict[str, FurtherBaseTable] = field(default_factory=dict)
    network: NetworkTable | None = None
    encryption: EncryptionTable | None = None
    monitoring: MonitoringTable | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "" in self.adapters:
            raise ValueError("'adapters' should give each adapter a name, got an empty one")
        for name, fleet in self.fleets.items():
            if fleet.base_model not in (None, *self.base_models):
                raise ValueError(
                    f"'base_model' of a fleet should be one of [base_models], got {fleet.base_model!r}"
                )
            if not re.fullmatch("[A-Za-z][A-Za-z0-9]*", name):
                raise ValueError(
                    "'fleets' should give each fleet a name of letters and digits, as it begins those of its"
                    f" outputs, got {name!r}"
                )


def _check_one_of(**settings: object) -> None:
    given = [name for name, value in settings.items() if value is not None]
    if len(given) != 1:
        raise ValueError(f"one of {', '.join(settings)} should be given, got {' and '.join(given) or 'none'}")


def _check_goes_with(name: str, value: object, **choices: object) -> None:
    if value is not None and all(choice is None for choice in choices.values()):
        raise ValueError(f"'{name}' should be given with {' or '.join(choices)} only, got {value!r}")


# TOML's own words for its types.
_WORDS: dict[type, str] = {
    list: "an array",
    dict: "a table",
    LmiVersion: "an integer",
    VllmVersion: "a string",
}


class EnvironmentFileError(ValueError):
    """Every error in an environment file, one on each line."""


def find_environment(name: str, *, folder: Path, setting: str) -> Path:
    """Return `<folder>/<name>.toml`, or the file of that path if `name` ends with `.toml`.

    Raises EnvironmentFileError if there is no such file. `setting` names the user's argument in the message.
    """
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file():
        if name.endswith(".toml"):
            raise EnvironmentFileError(f"'{setting}' should be a file that is there, got {name!r}")
        existing = ", ".join(sorted(file.stem for file in folder.glob("*.toml")))
        known = f"one of {existing}, or " if existing else ""
        meant = did_you_mean(name.removesuffix(".toml"), (file.stem for file in folder.glob("*.toml")))
        nowhere = "" if existing else f"; there is no {folder / '*.toml'} in the present folder"
        raise EnvironmentFileError(
            f"'{setting}' should be {known}the path of a .toml file, got {name!r}{nowhere}{meant}"
        )
    return path


def read_environment(path: Path) -> Environment:
    """Read an environment file.

    Raises EnvironmentFileError with a line for each error: file, key, what it should be and what was got.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EnvironmentFileError(f"{path}: not a TOML document: {error}") from None
    try:
        return structure(_converter(path.parent), data, Environment, words=_WORDS)
    except StructureError as error:
        raise EnvironmentFileError("\n".join(f"{path}: {problem}" for problem in error.problems)) from None


def _converter(folder: Path) -> Converter:
    converter = strict_converter()
    converter.register_structure_hook(Path, lambda value, _: folder / exactly(value, str))
    converter.register_structure_hook(LmiVersion, lambda value, _: LmiVersion.numbered(exactly(value, int)))
    converter.register_structure_hook(VllmVersion, lambda value, _: VllmVersion.numbered(exactly(value, str)))
    return converter
