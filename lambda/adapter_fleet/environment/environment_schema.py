"""The tables of an environment file: what may differ between two deployments of the app.

`environment_reader.read_environment` reads them. The app and the `adapters` command both use them.
"""

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from adapter_fleet.common.near_names import known_or_meant
from adapter_fleet.common.validators import check_whole_number
from adapter_fleet.evaluation.evaluation_bar import EvaluationBar
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FleetSettings, OnTimeout, UpdateMode
from adapter_fleet.serving.capture_mode import CaptureMode
from adapter_fleet.serving.container_release import ContainerRelease
from adapter_fleet.serving.instance_types import check_instance_type
from adapter_fleet.serving.lmi import LmiVersion
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.placement_strategy import PlacementStrategy
from adapter_fleet.serving.registry_accounts import REGISTRY_ACCOUNTS
from adapter_fleet.serving.routing import PrefixRouting, RoutingStrategy, check_prefix_routing
from adapter_fleet.serving.scaling_metric import DEFAULT_CONCURRENT_REQUESTS, ScalingMetric
from adapter_fleet.serving.vllm import VllmVersion
from adapter_fleet.usage.working_set import NEAR

LOG_RETENTIONS = (
    "one_day",
    "three_days",
    "five_days",
    "one_week",
    "two_weeks",
    "one_month",
    "two_months",
    "three_months",
    "four_months",
    "five_months",
    "six_months",
    "one_year",
    "thirteen_months",
    "eighteen_months",
    "two_years",
    "three_years",
    "five_years",
    "six_years",
    "seven_years",
    "eight_years",
    "nine_years",
    "ten_years",
    "infinite",
)
"""The names of `aws_cdk.aws_logs.RetentionDays`, in lower case."""

_TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[\w-]{1,256}(\.fifo)?")
_SCHEDULE = re.compile(r"(cron|rate|at)\(.+\)")
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
    """`[base_model]`: the base model in a bucket, in a directory or on the Hugging Face Hub.

    The container downloads a model of the hub when it starts. `config` is a copy of the model's
    `config.json`, by which the memory is checked.
    """

    bucket: str | None = None
    prefix: str = ""
    directory: Path | None = None
    hub: str | None = None
    revision: str | None = None
    name: str | None = None
    config: Path | None = None

    def __post_init__(self) -> None:
        _check_one_of(bucket=self.bucket, directory=self.directory, hub=self.hub)
        _check_goes_with("config", self.config, bucket=self.bucket, hub=self.hub)
        _check_goes_with("prefix", self.prefix or None, bucket=self.bucket)
        _check_goes_with("revision", self.revision, hub=self.hub)
        _check_goes_with("name", self.name, bucket=self.bucket, directory=self.directory)
        _check_buckets(self, "bucket")
        _check_filled(self, "hub", "revision", "name")


@dataclass(frozen=True, kw_only=True)
class ContainerTable:
    """`[container]`: the container, its release and further settings: `lmi_version` or `vllm_version`."""

    lmi_version: LmiVersion | None = None
    vllm_version: VllmVersion | None = None
    environment: dict[str, str] = field(default_factory=dict)
    prefix_caching: bool = False
    inference_ami_version: str | None = None

    def __post_init__(self) -> None:
        _check_one_of(lmi_version=self.lmi_version, vllm_version=self.vllm_version)
        _check_filled(self, "inference_ami_version")

    @property
    def release(self) -> ContainerRelease:
        """The release of the container."""
        release = self.lmi_version or self.vllm_version
        assert release is not None  # one of the two is given
        return release


@dataclass(frozen=True, kw_only=True)
class InstanceTable:
    """`[endpoint.instance]`: what one instance has, for a type that is newer than the library."""

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
class InstancePoolTable:
    """`[[endpoint.instance_pools]]`: a further instance type, and what a copy takes there.

    Without `min_memory_mib`, a copy takes what `[copies]` says.
    """

    instance_type: str
    accelerators: int | None = None
    cpu_cores: float | None = None
    min_memory_mib: int | None = None
    max_memory_mib: int | None = None

    def __post_init__(self) -> None:
        check_instance_type("instance_type", self.instance_type)
        for setting in ("accelerators", "cpu_cores", "max_memory_mib"):
            _check_goes_with(setting, getattr(self, setting), min_memory_mib=self.min_memory_mib)
        _check_goes_with("min_memory_mib", self.min_memory_mib, accelerators=self.accelerators)
        _check_positive(self, "accelerators", "cpu_cores", "min_memory_mib", "max_memory_mib")


@dataclass(frozen=True, kw_only=True)
class MetricsTable:
    """`[endpoint.metrics]`: which metrics the endpoint publishes, and how often."""

    enhanced: bool = False
    detailed_observability: bool = False
    publish_every_seconds: int | None = None


@dataclass(frozen=True, kw_only=True)
class DataCaptureTable:
    """`[endpoint.data_capture]`: what is written of requests and answers to a bucket."""

    bucket: str
    prefix: str = ""
    sampling_percent: int
    mode: CaptureMode = CaptureMode.INPUT_AND_OUTPUT

    def __post_init__(self) -> None:
        _check_buckets(self, "bucket")


@dataclass(frozen=True, kw_only=True)
class EndpointTable:
    """`[endpoint]`: the endpoint's instances and the names of its components."""

    instance_type: str
    instance_count: int = 1
    instance: InstanceTable | None = None
    instance_pools: list[InstancePoolTable] = field(default_factory=list)
    capacity_reservation_arn: str | None = None
    provision_timeout_seconds: int | None = None
    metrics: MetricsTable | None = None
    data_capture: DataCaptureTable | None = None
    network_isolation: bool | None = None
    routing_strategy: RoutingStrategy = RoutingStrategy.LEAST_OUTSTANDING_REQUESTS
    prefix_routing: PrefixRouting | None = None
    component_prefix: str | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "instance_count", "provision_timeout_seconds")
        check_prefix_routing(self.routing_strategy, self.prefix_routing)
        _check_filled(self, "component_prefix", "capacity_reservation_arn")
        if self.instance is None:
            check_instance_type("instance_type", self.instance_type)


@dataclass(frozen=True, kw_only=True)
class RollingUpdateTable:
    """`[copies.rolling_update]`: how a change of the base model replaces its copies, and what undoes it.

    `alarm_names` are alarms of the account and region.
    """

    batch_percent: int | None = None
    batch_copies: int | None = None
    wait_seconds: int
    max_server_errors: int | None = None
    alarm_names: list[str] = field(default_factory=list)
    rollback_percent: int | None = None
    rollback_copies: int | None = None
    timeout_seconds: int | None = None

    def __post_init__(self) -> None:
        _check_one_of(batch_percent=self.batch_percent, batch_copies=self.batch_copies)
        if self.rollback_percent is not None and self.rollback_copies is not None:
            raise ValueError("one of rollback_percent, rollback_copies may be given, got both")
        _check_positive(
            self, "batch_percent", "batch_copies", "rollback_percent", "rollback_copies", "timeout_seconds"
        )
        check_whole_number("wait_seconds", self.wait_seconds, at_least=0)


@dataclass(frozen=True, kw_only=True)
class CopiesTable:
    """`[copies]`: how many copies of the base model run, what each takes and how long it may start."""

    count: int = 1
    accelerators: int
    cpu_cores: float | None = None
    min_memory_mib: int
    max_memory_mib: int | None = None
    model_download_timeout_seconds: int | None = None
    health_check_timeout_seconds: int | None = None
    placement: PlacementStrategy | None = None
    max_zone_imbalance: int | None = None
    data_caching: bool | None = None
    rolling_update: RollingUpdateTable | None = None

    def __post_init__(self) -> None:
        _check_positive(
            self,
            "count",
            "accelerators",
            "cpu_cores",
            "min_memory_mib",
            "max_memory_mib",
            "model_download_timeout_seconds",
            "health_check_timeout_seconds",
        )
        _check_goes_with("max_zone_imbalance", self.max_zone_imbalance, placement=self.placement)


@dataclass(frozen=True, kw_only=True)
class ScheduleTable:
    """`[[scaling.schedules]]`: another range of copies from a certain time on.

    `schedule` is an expression of Application Auto Scaling: `cron(0 7 ? * MON-FRI *)`, `rate(…)` or `at(…)`.
    """

    name: str
    schedule: str
    min_copies: int | None = None
    max_copies: int | None = None
    time_zone: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch("[A-Za-z][A-Za-z0-9]*", self.name):
            raise ValueError(f"'name' should be letters and digits, got {self.name!r}")
        if not _SCHEDULE.fullmatch(self.schedule):
            raise ValueError(
                f"'schedule' should be an expression such as 'cron(0 7 ? * MON-FRI *)', got {self.schedule!r}"
            )
        _check_filled(self, "time_zone")
        if self.min_copies is None and self.max_copies is None:
            raise ValueError("one of min_copies, max_copies should be given, got none")
        _check_copies(self, at_least=0)


@dataclass(frozen=True, kw_only=True)
class ScalingTable:
    """`[scaling]`: how many copies of the base model may run, and what load each should have."""

    min_copies: int
    max_copies: int
    metric: ScalingMetric = ScalingMetric.CONCURRENT_REQUESTS
    target: float | None = None
    scale_in_cooldown_seconds: int | None = None
    scale_out_cooldown_seconds: int | None = None
    max_instances: int | None = None
    wake_cooldown_seconds: int | None = None
    wake_for_adapters: bool = True
    schedules: list[ScheduleTable] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check_copies(self, at_least=1)
        _check_positive(
            self,
            "target",
            "scale_in_cooldown_seconds",
            "scale_out_cooldown_seconds",
            "max_instances",
            "wake_cooldown_seconds",
        )
        if self.target is None and self.metric is not ScalingMetric.CONCURRENT_REQUESTS:
            raise ValueError(f"'target' should be given with {self.metric}, got nothing")
        names = [schedule.name for schedule in self.schedules]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"'schedules' should each have a name of its own, got {twice!r} twice")

    @property
    def load(self) -> float:
        """The load of one copy that scaling aims at."""
        return DEFAULT_CONCURRENT_REQUESTS if self.target is None else self.target


@dataclass(frozen=True, kw_only=True)
class ArtifactSourceTable:
    """`[[artifact_sources]]`: a prefix of a bucket that holds adapters."""

    bucket: str
    prefix: str = ""

    def __post_init__(self) -> None:
        _check_buckets(self, "bucket")


@dataclass(frozen=True, kw_only=True)
class AdapterTable:
    """`[adapters.<name>]`: one adapter in a directory of this machine, or its archive in a bucket."""

    directory: Path | None = None
    uri: str | None = None
    component_per_version: bool = False

    def __post_init__(self) -> None:
        _check_one_of(directory=self.directory, uri=self.uri)


@dataclass(frozen=True, kw_only=True)
class SmokeTable:
    """`[fleets.<name>.smoke]`: a request that an adapter must answer before it counts as in service."""

    prompt: str | None = None
    max_tokens: int | None = None
    body: dict[str, Any] | None = None
    expect: str | None = None

    def __post_init__(self) -> None:
        _check_one_of(prompt=self.prompt, body=self.body)
        _check_goes_with("max_tokens", self.max_tokens, prompt=self.prompt)
        _check_positive(self, "max_tokens")


@dataclass(frozen=True, kw_only=True)
class EvaluationTable:
    """`[fleets.<name>.evaluation]`: what the evaluation of a new version should reach."""

    require: list[str]
    dataset: str | None = None
    exempt: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bar  # noqa: B018 - a wrong requirement is an error here

    @property
    def bar(self) -> EvaluationBar:
        """The bar of the fleet."""
        return EvaluationBar(
            requirements=tuple(self.require),
            dataset=None if self.dataset is None else self.dataset.removeprefix("sha256:"),
            exempt=tuple(self.exempt),
        )


@dataclass(frozen=True, kw_only=True)
class FleetTable:
    """`[fleets.<name>]`: a fleet's manifest, in a file or in a bucket, and the fleet's policies."""

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
    update_mode: UpdateMode = FleetSettings.update_mode
    request_rate: float = FleetSettings.request_rate
    timeout_minutes: float = FleetSettings.timeout_seconds / 60
    on_timeout: OnTimeout = FleetSettings.on_timeout
    drift_check: DriftAction | None = None
    drift_every_minutes: int | None = None
    drift_probes: int | None = None
    allow_base_replacement: bool = False
    keep_registry: bool = False
    smoke: SmokeTable | None = None
    evaluation: EvaluationTable | None = None

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
        _check_goes_with("drift_probes", self.drift_probes, drift_check=self.drift_check)
        if self.drift_probes is not None:
            check_whole_number("drift_probes", self.drift_probes, at_least=0)
        _check_positive(
            self, "drift_every_minutes", "reread_every_minutes", "request_rate", "timeout_minutes"
        )


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
    """`[encryption]`: the KMS key that encrypts tables, logs, queues, functions and storage volumes."""

    key_arn: str

    def __post_init__(self) -> None:
        if not _KEY_ARN.fullmatch(self.key_arn):
            raise ValueError(
                "'key_arn' should be the ARN of a key, such as"
                f" 'arn:aws:kms:us-east-1:111122223333:key/…', got {self.key_arn!r}"
            )


@dataclass(frozen=True, kw_only=True)
class LogsTable:
    """`[logs]`: how long the logs of functions and state machines are kept, one of `LOG_RETENTIONS`."""

    retention: str = "three_months"

    def __post_init__(self) -> None:
        if self.retention not in LOG_RETENTIONS:
            meant = known_or_meant(self.retention, LOG_RETENTIONS)
            raise ValueError(
                f"'retention' should be a time that CloudWatch Logs has ({meant}), got {self.retention!r}"
            )


@dataclass(frozen=True, kw_only=True)
class MonitoringTable:
    """`[monitoring]`: a dashboard and alarms for each fleet. `topic_arn` names where alarms are sent.

    usage:
        Whether a function counts what the adapters are used for. The settings below are the function's.
    prices:
        A list of prices, the file that `adapters usage --prices` takes.
    """

    topic_arn: str | None = None
    max_failed: int = 0
    max_convergence_age_minutes: int = 60
    max_server_errors: int = 10
    max_model_latency_ms: int | None = None
    usage: bool = True
    usage_by: list[str] = field(default_factory=list)
    usage_per_adapter: bool = False
    usage_every_minutes: int = 15
    max_lora_use: float = NEAR
    token_pattern: str | None = None
    token_text: str = ""
    prices: Path | None = None

    def __post_init__(self) -> None:
        if self.topic_arn is not None and not _TOPIC_ARN.fullmatch(self.topic_arn):
            raise ValueError(
                "'topic_arn' should be the ARN of a topic, such as"
                f" 'arn:aws:sns:us-east-1:111122223333:on-call', got {self.topic_arn!r}"
            )
        check_whole_number("max_failed", self.max_failed, at_least=0)
        _check_positive(
            self,
            "max_convergence_age_minutes",
            "max_server_errors",
            "max_model_latency_ms",
            "usage_every_minutes",
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
    network: NetworkTable | None = None
    encryption: EncryptionTable | None = None
    logs: LogsTable = LogsTable()
    monitoring: MonitoringTable | None = None
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


def _check_copies(settings: ScalingTable | ScheduleTable, *, at_least: int) -> None:
    fewest, most = settings.min_copies, settings.max_copies
    if fewest is not None:
        check_whole_number("min_copies", fewest, at_least=0)
    if most is not None:
        check_whole_number("max_copies", most, at_least=at_least)
    if fewest is not None and most is not None and fewest > most:
        raise ValueError(f"'min_copies' should be at most 'max_copies', {most}, got {fewest}")


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
