"""The settings of a fleet, as the construct passes them to the Lambda functions."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from adapter_fleet.common.validators import check_known, check_share, check_whole_number, share_of
from adapter_fleet.evaluation import EvaluationBar
from adapter_fleet.fleet.state.configuration import DEFAULT_PROBES_PER_DRIFT_RUN, LONGEST_TIMEOUT_SECONDS
from adapter_fleet.manifest.desired import SmokeRequest


@dataclass(frozen=True, kw_only=True)
class FailureLimit:
    """How many of the adapters that a generation changes may fail before the generation fails.

    share:
        The share of the changed adapters, rounded down.
    count:
        An absolute number instead of the share.
    """

    share: float = 0.05
    count: int | None = None

    def __post_init__(self) -> None:
        check_share("share", self.share)
        if self.count is not None:
            check_whole_number("count", self.count, at_least=0)

    def allowed(self, changes: int) -> int:
        """Return how many of `changes` adapters may fail."""
        return self.count if self.count is not None else share_of(changes, self.share)


@dataclass(frozen=True, kw_only=True)
class DeletionLimit:
    """How many adapters a generation may delete.

    share:
        The share of the adapters that the fleet has.
    above:
        The share applies only to fleets with more adapters than this.
    allow_empty:
        True if a manifest without adapters may delete all of them.
    """

    share: float = 0.2
    above: int = 10
    allow_empty: bool = False

    def __post_init__(self) -> None:
        check_share("share", self.share)
        check_whole_number("above", self.above, at_least=0)

    def allowed(self, present: int) -> int:
        """Return how many of `present` adapters a manifest with adapters may delete."""
        return present if present <= self.above else share_of(present, self.share)


class OnTimeout(StrEnum):
    """How a deployment ends if it times out while adapters are pending.

    Example::

        AdapterFleet(stack, "Fleet", endpoint=endpoint, manifest=manifest, on_timeout=OnTimeout.FAIL)
    """

    SUCCEED = "succeed"
    """It succeeds and reports how many are pending. The state machine goes on."""
    FAIL = "fail"
    """It fails, and CloudFormation rolls back."""


class DriftAction(StrEnum):
    """What a scheduled run does about changes that people made by hand."""

    REPORT = "report"
    """Report them in metrics and in the registry."""
    REPAIR = "repair"
    """Report them, and restore what the manifest declares."""


@dataclass(frozen=True, kw_only=True)
class CanarySettings:
    """A new version answers a growing share of the callers, while it does no worse than the one before.

    steps:
        The shares in percent, rising, each from 1 to 99. After the last one it answers all.
    every_seconds:
        How long a step takes. Then the version is judged by the requests since its begin.
    min_requests:
        With fewer requests to either version, the step goes on.
    max_error_increase:
        How much larger the share of requests that fail may be than that of the version before.
    max_latency:
        How many times as long the mean request may take.
    """

    steps: tuple[int, ...] = (5, 25)
    every_seconds: float = 1800.0
    min_requests: int = 100
    max_error_increase: float = 0.01
    max_latency: float = 1.25

    def __post_init__(self) -> None:
        if not self.steps or list(self.steps) != sorted({step for step in self.steps if 0 < step < 100}):
            raise ValueError(f"'steps' should be rising shares from 1 to 99, got {list(self.steps)}")
        check_whole_number("min_requests", self.min_requests, at_least=1)
        check_share("max_error_increase", self.max_error_increase)
        if self.max_latency < 1:
            raise ValueError(f"'max_latency' should be at least 1, got {self.max_latency}")

    def after(self, percent: int) -> int:
        """Return the share that follows one; 100 after the last step."""
        return next((step for step in self.steps if step > percent), 100)


@dataclass(frozen=True, kw_only=True)
class ReleaseSettings:
    """Each version of an adapter is a component of its own; a route for each adapter says which one answers.

    keep:
        How many earlier versions of an adapter stay in service, for a rollback at once.
    drain_seconds:
        How long a version stays after its route has ceased to name it. Callers keep a route for a while.
    canary:
        None if a new version answers all callers at once.
    """

    keep: int = 1
    drain_seconds: float = 900.0
    canary: CanarySettings | None = None


@dataclass(frozen=True, kw_only=True)
class FleetSettings:
    """The settings of a fleet.

    failures:
        None for the default, which depends on where the manifest is.
    request_rate:
        The most writes a second to SageMaker. It is halved on a throttle, and recovers slowly.
    timeout_seconds, on_timeout:
        How long a deployment waits for its adapters, and how it ends then. By default, it fails if nothing
        of what it changes was applied, and otherwise succeeds.
    drift:
        What scheduled runs do; None if there are none.
    max_lora_rank:
        The endpoint's limit; None if unknown.
    base_model:
        The model's name, which a manifest has to name too; None if unknown.
    smoke:
        Default smoke request. An adapter counts as in service only after it passes.
    probes_per_drift_run:
        How many adapters a scheduled run asks for their probes, those with the oldest answer first;
        None for all.
    evaluation:
        What the recorded evaluation of a new version should reach; None if it needs none.
    releases:
        None if an adapter is updated in place.
    """

    failures: FailureLimit | None = None
    deletions: DeletionLimit = field(default_factory=DeletionLimit)
    request_rate: float = 5.0
    timeout_seconds: int = 3000
    on_timeout: OnTimeout | None = None
    drift: DriftAction | None = None
    allow_base_replacement: bool = False
    max_lora_rank: int | None = None
    base_model: str | None = None
    smoke: SmokeRequest | None = None
    probes_per_drift_run: int | None = DEFAULT_PROBES_PER_DRIFT_RUN
    evaluation: EvaluationBar | None = None
    releases: ReleaseSettings | None = None

    def bar_beside(self, base: str) -> EvaluationBar | None:
        """Return the bar for evaluations beside a base component, which has the base model's name too."""
        bases = tuple(filter(None, (self.base_model, base)))
        return None if self.evaluation is None else replace(self.evaluation, bases=bases)

    def __post_init__(self) -> None:
        check_known("request_rate", self.request_rate)
        if self.request_rate <= 0:
            raise ValueError(f"'request_rate' should be above 0, got {self.request_rate}")
        if not 0 < self.timeout_seconds <= LONGEST_TIMEOUT_SECONDS:
            raise ValueError(
                f"'timeout' should be above 0 and at most {LONGEST_TIMEOUT_SECONDS // 60} minutes, as"
                " CloudFormation waits an hour for a custom resource, got"
                f" {self.timeout_seconds / 60:g} minutes"
            )
