"""What the monitoring of a fleet counts of the use of its adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration

from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.usage.counting_settings import NEAR, SHORT_SECONDS, CountingSettings
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.durations import check_minutes

_DEFAULT_EVERY = Duration.minutes(15)


@checked
@dataclass(frozen=True, kw_only=True)
class UsageMetrics:
    """What a function counts of the use of a fleet's adapters, and publishes as metrics.

    CloudWatch bills each combination of a metric and its dimensions; docs/guides/monitoring.md counts them.

    by:
        Keys of tags of the manifest, such as `tenant`. Each value has metrics of its own.
    per_adapter:
        Whether each adapter has metrics of its own.
    every:
        How often the function runs, in whole minutes, at most 3 hours. Default: 15 minutes.
    max_use:
        From which share of `max_loras` and of `max_cpu_loras` an alarm rings. Default: 0.8.

    Example::

        fleet = AdapterFleet(stack, "Fleet", endpoint=endpoint, manifest=manifest)
        fleet.monitor(usage=UsageMetrics(by=["tenant"]))
    """

    by: Sequence[str] = ()
    per_adapter: bool = False
    every: Duration = _DEFAULT_EVERY
    max_use: float = NEAR

    def __post_init__(self) -> None:
        check_minutes("every", self.every)
        # The function compares the adapters of the last three hours with the room for them.
        if not self.every.is_unresolved() and self.every.to_seconds() > SHORT_SECONDS:
            raise ValueError(f"'every' should be at most 3 hours, got {self.every.to_human_string()}")
        if not 0 < self.max_use <= 1:
            raise ValueError(f"'max_use' should be above 0 and at most 1, got {self.max_use}")
        self._counting(None)  # checks the other settings

    def _counting(self, lora: LoraServing | None) -> CountingSettings:
        """Return the settings of the function, for a base model with this room for adapters."""
        return CountingSettings(
            by=tuple(self.by),
            per_adapter=self.per_adapter,
            max_loras=None if lora is None else lora.max_loras,
            max_cpu_loras=None if lora is None else lora.max_cpu_loras,
        )
