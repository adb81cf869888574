"""What queues tell of their messages."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from tests.local.waiting import until


def test_queue_tells_how_many_messages_can_be_received(
    client: Callable[..., Any], settings: Callable[..., Any]
) -> None:
    settings(time_scale=0.01)
    queues, cloudwatch, name = client("sqs"), client("cloudwatch"), f"queue-{uuid.uuid4().hex[:8]}"
    url = queues.create_queue(QueueName=name)["QueueUrl"]
    queues.send_message(QueueUrl=url, MessageBody="one")
    queues.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
    query = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [{"Name": "QueueName", "Value": name}],
        "StartTime": time.time() - 60,
        "EndTime": time.time() + 60,
        "Period": 60,
        "Statistics": ["Maximum"],
    }
    points = until(lambda: cloudwatch.get_metric_statistics(**query)["Datapoints"])
    assert {point["Maximum"] for point in points} == {1}
