"""The entry point of the Lambda function that counts the use of a fleet's adapters."""

import json
import os
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from adapter_fleet.aws.metric_reader import MetricReader
from adapter_fleet.aws.usage_counter import UsageCounter, UsageCursor, UsageTelemetry
from adapter_fleet.common.clock import Clock
from adapter_fleet.common.serialization import converter
from adapter_fleet.fleet.state.dynamodb_table import DynamoDbTable
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.usage.counting_settings import CountingSettings
from adapter_fleet.usage.fleet_members import FleetMembers

# In a VPC that does not reach a service, the function fails in half a minute instead of at its timeout.
_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=5)


def count_usage(event: Mapping[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Count what the fleet's adapters were used for up to the time of a scheduled event."""
    log = Logger(service="adapter-usage")
    dynamodb, table = boto3.client("dynamodb", config=_CONFIG), os.environ["REGISTRY_TABLE"]
    registry = Registry(table, dynamodb)
    newest = registry.generations.newest()
    if newest is None:
        log.info("the fleet has received no manifest yet")
        return {"counted_until": None}
    counter = UsageCounter(
        uid=os.environ["FLEET_UID"],
        source=MetricReader(boto3.client("cloudwatch", config=_CONFIG)),
        cursor=UsageCursor(DynamoDbTable(table, dynamodb, sleep=time.sleep)),
        telemetry=UsageTelemetry(os.environ["METRICS_NAMESPACE"]),
        clock=Clock(),
        settings=converter.structure(json.loads(os.environ["USAGE"]), CountingSettings),
    )
    end = counter.run(FleetMembers.of(registry, newest), datetime.fromisoformat(event["time"]).timestamp())
    log.info("counted the use", until=end)
    return {"counted_until": end}
