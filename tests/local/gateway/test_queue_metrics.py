"""What queues tell of their messages."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any


def test_queue_tells_how_many_messages_are_in_it(
    client: Callable[..., Any], settings: Callable[..., Any]
) -> None:
    settings(time_scale=0.01)
    queues, cloudwatch, name = client("sqs"), client("cloudwatch"), f"queue-{uuid.uuid4().hex[:8]}"
    url = queues.create_queue(QueueName=name)["QueueUrl"]
    queues.send_message(QueueUrl=url, MessageBody="one")
    queues.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
    query = {
        "Namespace": "AWS/SQS",
        "Dimensions": [{"Name": "QueueName", "Value": name}],
        "StartTime": time.time() - 60,
        "EndTime": time.time() + 60,
        "Period": 60,
        "Statistics": ["Maximum"],
    }
    found: dict[str, float] = {}
    deadline = time.monotonic() + 10
    while found != {"Visible": 1, "Delayed": 1, "NotVisible": 0}:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
        for state in ("Visible", "Delayed", "NotVisible"):
            points = cloudwatch.get_metric_statistics(
                MetricName=f"ApproximateNumberOfMessages{state}", **query
            )["Datapoints"]
            if points:
                found[state] = max(point["Maximum"] for point in points)
