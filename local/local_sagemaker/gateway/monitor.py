"""The clock of everything that happens by itself: measurements, logs, alarms, scaling."""

import asyncio
import time

from ministack.core.responses import request_scope
from ministack.services import sqs

from local_sagemaker.errors import logged
from local_sagemaker.gateway.cloud import Cloud
from local_sagemaker.gateway.telemetry import MinistackTelemetry
from local_sagemaker.ministack_patches.cloudwatch_alarms import Alarms
from local_sagemaker.ministack_patches.internals import expect_names

_QUEUE_SECONDS = 60.0
_QUEUE_METRIC = "ApproximateNumberOfMessagesVisible"
# The longest and the shortest time between two rounds. With scaled time, a round is that part of a second.
_LONGEST, _SHORTEST = 1.0, 0.05


class Monitor:
    """Looks at every account and region, round after round."""

    def __init__(self, cloud: Cloud, alarms: Alarms):
        self._cloud = cloud
        self._alarms = alarms
        expect_names(sqs, "_queues", "_refresh_counts")
        self._queues_published = 0.0
        alarms.on_policy(lambda *rings: cloud.autoscaling().alarmed(*rings))

    async def run(self) -> None:
        """Go on until cancelled; what fails is logged, and tried again in the next round."""
        while True:
            await asyncio.sleep(max(_SHORTEST, min(_LONGEST, self._cloud.time_scale())))
            self.round()

    def round(self) -> None:
        """Look at everything once."""
        for region in self._cloud.regions():
            with request_scope(region.account, region.name):
                with logged("the measurement of copies"):
                    region.copies.tick()
                with logged("scaling"):
                    region.autoscaling.tick()
        with logged("the metrics of queues"):
            self._publish_queues()
        with logged("the evaluation of alarms"):
            self._alarms.tick()

    def _publish_queues(self) -> None:
        """Publish once a minute how many messages can be received from each queue of all accounts.

        SQS of ministack has no metrics. [V developer guide, "Available CloudWatch metrics for Amazon SQS"]
        Namespace AWS/SQS, dimension QueueName, once a minute; [I] also for queues that nobody uses.
        """
        scale, now = self._cloud.time_scale, time.time()
        if now - self._queues_published < _QUEUE_SECONDS * scale():
            return
        self._queues_published = now
        for (account, region, url), queue in list(sqs._queues._data.items()):
            with request_scope(account, region):
                sqs._refresh_counts(queue)
            count = float(queue["attributes"]["ApproximateNumberOfMessages"])
            telemetry = MinistackTelemetry(account, region, scale)
            telemetry.metric("AWS/SQS", _QUEUE_METRIC, {"QueueName": url.rpartition("/")[2]}, count, "Count")
