"""The function that counts the use of a fleet's adapters on a schedule."""

from __future__ import annotations

import json

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from adapter_fleet.common.naming import USAGE_PARTITION
from adapter_fleet.common.serialization import unstructured
from adapter_fleet.usage.counting_settings import CountingSettings
from multi_adapter_inference.fleet.control_plane import ControlPlane
from multi_adapter_inference.functions.functions import Functions
from multi_adapter_inference.template.metrics import METRICS_NAMESPACE
from multi_adapter_inference.template.statement import allow, in_partitions

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
