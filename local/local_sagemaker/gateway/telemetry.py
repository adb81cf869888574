"""Publishes metrics, log lines and events in ministack, and reads the alarms of its CloudWatch."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence

from ministack.core.responses import request_scope
from ministack.services import cloudwatch, cloudwatch_logs, eventbridge

from local_sagemaker.control_plane.endpoint_record import EndpointRecord
from local_sagemaker.control_plane.ports import STREAM_LINES
from local_sagemaker.ministack_patches.internals import expect, expect_names
from local_sagemaker.monitoring.metrics import Points


def check_internals() -> None:
    """Raise UnknownMinistackError if ministack's internals differ."""
    expect(hasattr(cloudwatch._metrics, "get_scoped"), "cloudwatch._metrics is kept by account and region")
    expect_names(cloudwatch, "_alarms", "_composite_alarms")
    expect_names(eventbridge, "_put_events")
    expect_names(
        cloudwatch_logs, "_log_groups", "_create_log_group", "_create_log_stream", "_append_log_events"
    )


class MinistackTelemetry:
    """Implements `Telemetry` for one account and region."""

    def __init__(self, account: str, region: str, scale: Callable[[], float]):
        """`scale` is how much of its time a period of an alarm lasts."""
        self._account = account
        self._region = region
        self._scale = scale

    def metric(
        self, namespace: str, name: str, dimensions: Mapping[str, str], value: float, unit: str = "None"
    ) -> None:
        """Publish one value of a metric, now."""
        key = (namespace, name, "|".join(f"{name}={value}" for name, value in sorted(dimensions.items())))
        points = cloudwatch._metrics.get_scoped(self._account, self._region, key)
        if points is None:
            points = Points(unit, dimensions)
            cloudwatch._metrics.set_scoped(self._account, self._region, key, points)
        if isinstance(points, Points):
            points.add(value, time.time(), resolution=min(1.0, self._scale()))
        else:
            # Somebody has published a metric of this name.
            dated = {"Timestamp": time.time(), "Value": value, "Unit": unit}
            points.append({**dated, "Dimensions": dict(dimensions)})

    def endpoint_changed(self, endpoint: EndpointRecord) -> None:
        """Send the event of an endpoint's new status, as IN_SERVICE [V, T]."""
        detail = {
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "EndpointConfigName": endpoint.config["EndpointConfigName"],
            "EndpointStatus": re.sub(r"\B(?=[A-Z])", "_", endpoint.shown_status).upper(),
            "CreationTime": round(endpoint.created * 1000),
            "LastModifiedTime": round(endpoint.modified * 1000),
        }
        event = {
            "Source": "aws.sagemaker",
            "DetailType": "SageMaker Endpoint State Change",
            "Resources": [endpoint.arn],
            "Detail": json.dumps(detail),
        }
        with request_scope(self._account, self._region):
            eventbridge._put_events({"Entries": [event]}, allow_aws_source=True)

    def log(self, group: str, stream: str, lines: Sequence[str], *, most: int = STREAM_LINES) -> None:
        """Append lines to a log stream, which is made if it is not there; it keeps the `most` newest ones."""
        now = int(time.time() * 1000)
        with request_scope(self._account, self._region):
            # Each refuses what is there already, and changes nothing then.
            cloudwatch_logs._create_log_group({"logGroupName": group})
            cloudwatch_logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
            kept = cloudwatch_logs._log_groups[group]["streams"][stream]
        events = [{"timestamp": now, "message": line, "ingestionTime": now} for line in lines]
        cloudwatch_logs._append_log_events(kept, events)
        del kept["events"][:-most]

    def alarm_state(self, name: str) -> str | None:
        """The state of an alarm; None if there is none of that name."""
        with request_scope(self._account, self._region):
            alarm = cloudwatch._alarms.get(name) or cloudwatch._composite_alarms.get(name)
        return None if alarm is None else str(alarm["StateValue"])
