"""Publishes once a minute how many messages can be received from each queue of all accounts.

SQS of ministack has no metrics. [V developer guide, "Available CloudWatch metrics for Amazon SQS"]
Namespace AWS/SQS, dimension QueueName, once a minute; [I] also for queues that nobody uses.
"""

import time
from collections.abc import Callable

from ministack.services import sqs

from local_sagemaker.gateway.telemetry import MinistackTelemetry
from local_sagemaker.ministack_patches.internals import expect, scope

_SECONDS = 60.0
_METRIC = "ApproximateNumberOfMessagesVisible"


class QueueMetrics:
    """Publishes the metric of every queue."""

    def __init__(self, scale: Callable[[], float], clock: Callable[[], float] = time.time):
        """`scale` is how much of its time a minute lasts."""
        for name in ("_queues", "_refresh_counts"):
            expect(hasattr(sqs, name), f"sqs.{name} counts the messages of queues")
        self._scale, self._clock = scale, clock
        self._published = 0.0

    def tick(self) -> None:
        """Publish if a minute is over."""
        now = self._clock()
        if now - self._published < _SECONDS * self._scale():
            return
        self._published = now
        for (account, region, url), queue in list(sqs._queues._data.items()):
            with scope(account, region):
                sqs._refresh_counts(queue)
            count = float(queue["attributes"]["ApproximateNumberOfMessages"])
            telemetry = MinistackTelemetry(account, region, self._scale)
            telemetry.metric("AWS/SQS", _METRIC, {"QueueName": url.rpartition("/")[2]}, count, "Count")
