"""What a fleet does about failures, deletions, changes made by hand, and versions that are no better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aws_cdk import Duration

from adapter_fleet.common.validators import check_known, check_whole_number
from adapter_fleet.evaluation import EvaluationBar
from adapter_fleet.fleet.state.configuration import DEFAULT_PROBES_PER_DRIFT_RUN
from adapter_fleet.fleet.state.fleet_settings import (
    CanarySettings,
    DeletionLimit,
    DriftAction,
    FailureLimit,
    ReleaseSettings,
)
from adapter_fleet.fleet.state.records import MAX_VERSIONS
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.durations import check_minutes, whole_seconds
from multi_adapter_inference.template.statements import Statement, allow


@checked
@dataclass(frozen=True, kw_only=True)
class FailurePolicy:
    """How many adapters may fail before the deployment fails. Made by one of its methods.

    Only the adapters that a deployment changes count. A deployment that fails is rolled back: the adapters
    that it changed get their previous version again.

    Example::

        AdapterFleet(
            stack, "Fleet", endpoint=endpoint, manifest=manifest, failure_policy=FailurePolicy.strict()
        )
    """

    _limit: FailureLimit = field(default_factory=FailureLimit)

    @staticmethod
    def share(share: float) -> FailurePolicy:
        """Allow this share of the changed adapters, from 0 to 1, rounded down."""
        return FailurePolicy(_limit=FailureLimit(share=share))

    @staticmethod
    def at_most(count: int) -> FailurePolicy:
        """Allow this many adapters, whatever the number of changed adapters."""
        return FailurePolicy(_limit=FailureLimit(count=count))

    @staticmethod
    def strict() -> FailurePolicy:
        """Allow no adapter to fail."""
        return FailurePolicy.at_most(0)


@checked
@dataclass(frozen=True, kw_only=True)
class Canary:
    """Lets each new version of an adapter answer a few of the callers first, and more with each step.

    After each step, the fleet compares the new version with the previous one, in the same minutes. If its
    errors or its times exceed a threshold, all callers go back, and it counts as failed. With few requests,
    that also happens to good versions. Callers without a name for `AdapterRoutes` get the previous version.

    A deployment waits until the first steps have begun. `adapters status --wait` waits for the last ones.

    steps:
        The rising shares of the callers in percent, from 1 to 99. After the last step all callers follow.
        Default: 5 and 25.
    every:
        The shortest time of a step, at least a minute. Late metrics add up to four. Default: 30 minutes.
    min_requests:
        With fewer requests to either version, a step goes on. Default: 100.
    max_error_increase:
        How much larger the share of failed requests (4XX or 5XX) may be, from 0 to 1. Default: 0.01.
    max_latency:
        How many times as long the container may take for a request on average, at least 1. Default: 1.25.

    Example::

        Releases(canary=Canary(steps=(10, 50), every=Duration.minutes(15)))
    """

    steps: Sequence[int] = CanarySettings.steps
    every: Duration = field(default_factory=lambda: Duration.seconds(CanarySettings.every_seconds))
    min_requests: int = CanarySettings.min_requests
    max_error_increase: float = CanarySettings.max_error_increase
    max_latency: float = CanarySettings.max_latency

    def __post_init__(self) -> None:
        check_minutes("every", self.every)
        _ = self._settings  # checks the others

    @property
    def _settings(self) -> CanarySettings:
        return CanarySettings(
            steps=tuple(self.steps),
            every_seconds=whole_seconds("every", self.every),
            min_requests=self.min_requests,
            max_error_increase=self.max_error_increase,
            max_latency=self.max_latency,
        )


_LEAST_DRAIN_SECONDS = 80
"""The callers' interval of 15 s, 5 s, and a minute, the longest that a container has [V InvokeEndpoint]."""
_MOST_DRAIN_SECONDS = 86_400


@checked
@dataclass(frozen=True, kw_only=True)
class Releases:
    """Makes each version of an adapter a component of its own, and its name a route to one of them.

    Callers look the route up, as `AdapterRoutes` does. The previous version answers until the new one is in
    service and has passed its smoke test.

    keep:
        How many earlier versions of each adapter stay in service, for a rollback at once, at most 5.
        Default: 1.
    drain:
        How long a version stays after its route has ceased to name it, from 80 seconds to a day. Callers can
        do without the registry for as long. Of more than 22 versions the oldest leave earlier. Default: 15
        minutes.
    canary:
        How a new version comes to answer all callers. Default: at once, or as the manifest's `percent` says.

    Example::

        AdapterFleet(stack, "Fleet", endpoint=endpoint, manifest=manifest, releases=Releases(keep=2))
    """

    keep: int = ReleaseSettings.keep
    drain: Duration = field(default_factory=lambda: Duration.seconds(ReleaseSettings.drain_seconds))
    canary: Canary | None = None

    def __post_init__(self) -> None:
        check_whole_number("keep", self.keep, at_least=0)
        if self.keep > MAX_VERSIONS:
            raise ValueError(f"'keep' should be at most {MAX_VERSIONS}, got {self.keep}")
        least, most, seconds = _LEAST_DRAIN_SECONDS, _MOST_DRAIN_SECONDS, whole_seconds("drain", self.drain)
        if not least <= seconds <= most:
            raise ValueError(f"'drain' should be from {least} to {most} seconds, got {seconds}")

    @property
    def _settings(self) -> ReleaseSettings:
        canary = None if self.canary is None else self.canary._settings
        return ReleaseSettings(
            keep=self.keep, drain_seconds=whole_seconds("drain", self.drain), canary=canary
        )

    @property
    def _statements(self) -> list[Statement]:
        # Metrics have no resource that a policy could name.
        return [] if self.canary is None else [allow(["cloudwatch:GetMetricData"], "*")]


@checked
@dataclass(frozen=True, kw_only=True)
class DeletionGuard:
    """How much of a fleet one deployment, or one new manifest, may delete. Made by one of its methods.

    It also compares with the manifest of an hour before, so that many small manifests delete no more than one
    may. It never stops a rollback or the deletion of the stack.

    Example::

        AdapterFleet(
            stack, "Fleet", endpoint=endpoint, manifest=manifest, deletion_guard=DeletionGuard.share(0.5)
        )
    """

    _limit: DeletionLimit = field(default_factory=DeletionLimit)

    @staticmethod
    def share(
        share: float = DeletionLimit.share,
        *,
        above: int = DeletionLimit.above,
        allow_empty: bool = DeletionLimit.allow_empty,
    ) -> DeletionGuard:
        """Allow this share of the adapters, from 0 to 1. Default: 0.2.

        above:
            A fleet of this many adapters or fewer may lose any of them. Default: 10.
        allow_empty:
            Whether a manifest without adapters may delete every adapter. Default: False.
        """
        return DeletionGuard(_limit=DeletionLimit(share=share, above=above, allow_empty=allow_empty))

    @staticmethod
    def off() -> DeletionGuard:
        """Allow any number of deletions, also of every adapter."""
        return DeletionGuard.share(1, allow_empty=True)


@checked
@dataclass(frozen=True, kw_only=True)
class DriftCheck:
    """How often to look at what answers, and what to do about changes. Made by one of its methods.

    A check lists the endpoint, reads tags, and asks adapters. A report writes nothing to SageMaker.

    every:
        How often, in whole minutes.
    probes:
        How many adapters each check asks for their probes, those with the oldest answer first; None for all.
        With n copies of the base model, each takes 1, 8, 14, 19, 24 … requests. Default: 10.

    Example::

        AdapterFleet(
            stack,
            "Fleet",
            endpoint=endpoint,
            manifest=manifest,
            drift_check=DriftCheck.repair(every=Duration.hours(6)),
        )
    """

    every: Duration
    _action: DriftAction = DriftAction.REPORT
    probes: int | None = DEFAULT_PROBES_PER_DRIFT_RUN

    def __post_init__(self) -> None:
        check_minutes("every", self.every)
        if self.probes is not None:
            check_whole_number("probes", self.probes, at_least=0)

    @staticmethod
    def report(*, every: Duration, probes: int | None = DEFAULT_PROBES_PER_DRIFT_RUN) -> DriftCheck:
        """Report each changed adapter in the registry and in `metric_drifted`."""
        return DriftCheck(every=every, probes=probes)

    @staticmethod
    def repair(*, every: Duration, probes: int | None = DEFAULT_PROBES_PER_DRIFT_RUN) -> DriftCheck:
        """Report each changed adapter, and give it back what the manifest declares."""
        return DriftCheck(every=every, _action=DriftAction.REPAIR, probes=probes)


DEFAULT_DRIFT_CHECK = DriftCheck.report(every=Duration.hours(1))


@checked
@dataclass(frozen=True, kw_only=True)
class RequiredEvaluation:
    """What an adapter's evaluation should reach before the fleet takes a new version.

    `adapters publish --evaluation` records the result of `adapters evaluate` in the manifest. Synth refuses a
    manifest with a version that has no record or is below the bar. The fleet does the same for a manifest in
    S3, before its first write.

    The fleet checks only versions that it never served, so a raised bar stops no other change. Synth does not
    know these, and checks all but those of `exempt`. No rollback is refused. Adapters listed in code or found
    in a directory have no record.

    requirements:
        Each a metric and a bar, such as `rougeL >= base + 20%` or `exact_match >= 0.9`.
    dataset:
        The digest of the items, as `result.json` of `adapters evaluate` has it. Default: any.
    exempt:
        Names of adapters that need no evaluation.

    Example::

        AdapterFleet(
            stack,
            "Fleet",
            endpoint=endpoint,
            manifest=AdapterManifest.from_bucket(bucket, "tenants.yaml"),
            evaluation=RequiredEvaluation(requirements=["rougeL >= base + 20%"]),
        )
    """

    requirements: Sequence[str]
    dataset: str | None = None
    exempt: Sequence[str] = ()

    def __post_init__(self) -> None:
        for setting, value in (
            ("requirements", list(self.requirements)),
            ("dataset", self.dataset),
            ("exempt", list(self.exempt)),
        ):
            check_known(setting, value)
        self._bar  # noqa: B018 - a wrong requirement is an error here

    @property
    def _bar(self) -> EvaluationBar:
        """The bar that the fleet stores."""
        return EvaluationBar(
            requirements=tuple(self.requirements),
            dataset=None if self.dataset is None else self.dataset.removeprefix("sha256:"),
            exempt=tuple(self.exempt),
        )
