"""The alarms of a fleet."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from adapter_fleet.fleet.state.configuration import STANDSTILL_PASSES

PERIOD = Duration.minutes(5)


def add_standstill_alarm(
    fleet: Construct, failed_passes: cloudwatch.Metric, function_errors: cloudwatch.Metric
) -> cloudwatch.Alarm:
    """Add the alarm for failing passes: those that a fleet counted, and those whose function ended."""
    failing = cloudwatch.MathExpression(
        expression="MAX([FILL(passes, 0), FILL(errors, 0)])",
        using_metrics={"passes": failed_passes, "errors": function_errors},
        label="failed passes",
        period=PERIOD,
    )
    return failing.create_alarm(
        fleet,
        "Standstill",
        alarm_description=f"Passes of the fleet {fleet.node.path} keep failing",
        threshold=STANDSTILL_PASSES,
        evaluation_periods=1,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treat_missing_data=cloudwatch.TreatMissingData.IGNORE,
    )


def add_lost_events_alarm(fleet: Construct, lost_events: cloudwatch.Metric) -> cloudwatch.Alarm:
    """Add the alarm for an event in the dead-letter queue."""
    return lost_events.create_alarm(
        fleet,
        "LostEvents",
        alarm_description=f"Events that the fleet {fleet.node.path} failed to handle",
        threshold=1,
        evaluation_periods=1,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
