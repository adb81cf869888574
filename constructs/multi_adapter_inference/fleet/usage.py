"""What is counted of the use of a fleet's adapters, and the function that counts it on a schedule."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from adapter_fleet.common.naming import USAGE_PARTITION
from adapter_fleet.common.serialization import unstructured
from adapter_fleet.usage.counting_settings import NEAR, SHORT_SECONDS, CountingSettings
from adapter_rules.engines.lora_limits import LoraServing
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.durations import check_minutes
from multi_adapter_inference.fleet.control_plane import ControlPlane
from multi_adapter_inference.functions.functions import Functions
from multi_adapter_inference.template.metrics import METRICS_NAMESPACE
from multi_adapter_inference.template.statements import allow, in_partitions

_DEFAULT_EVERY = Duration.minutes(15)


@checked
@dataclass(frozen=True, kw_only=True)
class UsageMetrics:
    """What a function counts of the use of a fleet's adapters, and publishes as metrics.

    CloudWatch bills each combination of a metric and its dimensions; docs/guides/monitoring.md counts them.

    by:
        Keys of at most five tags of the manifest, such as `tenant`. Each value has metrics of its own.
    per_adapter:
        Whether each adapter has metrics of its own.
    every:
        How often the function runs, in whole minutes, at most 3 hours. Default: 15 minutes.
    max_use:
        Above which share of `max_loras` and of `max_cpu_loras` an alarm rings. Default: 0.8.

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


_SECONDS = 15 * 60
# The requests of a thousand adapters in each minute of some hours.
_MEMORY_MIB = 1024
_WHY_WILDCARDS = "metrics have no resource that a policy could name"


def count_usage(
    fleet: Construct, control: ControlPlane, *, uid: str, every: Duration, settings: CountingSettings
) -> None:
    """Count the use every so often. The function is a child of the fleet and shares its queue."""
    function = Functions(
        fleet,
        module="adapter_fleet.lambdas.usage",
        policy="Usage",
        about=fleet.node.path,
        environment={
            "REGISTRY_TABLE": control.registry.table_name,
            "FLEET_UID": uid,
            "METRICS_NAMESPACE": METRICS_NAMESPACE,
            "USAGE": json.dumps(unstructured(settings), sort_keys=True),
        },
        parts=control.function_parts,
        why_wildcards=_WHY_WILDCARDS,
        logs_id="UsageLogs",
    ).add(
        "CountUsage",
        "count_usage",
        "Counts what the adapters are used for",
        statements=[
            allow(["dynamodb:GetItem", "dynamodb:Query"], control.registry.table_arn),
            # The rest of the table decides what the fleet does.
            allow(
                ["dynamodb:UpdateItem"],
                control.registry.table_arn,
                conditions=in_partitions(USAGE_PARTITION),
            ),
            allow(["cloudwatch:GetMetricData"], "*"),
        ],
        timeout=Duration.seconds(_SECONDS),
        memory_mib=_MEMORY_MIB,
    )
    events.Rule(
        fleet,
        "UsageSchedule",
        description=f"Counts what the adapters of the fleet {fleet.node.path} are used for",
        schedule=events.Schedule.rate(every),
        # The next run goes on where the last one ended.
        targets=[targets.LambdaFunction(function, retry_attempts=0)],
    )
