"""The clock of everything that happens by itself: measurements, logs, alarms, scaling."""

import asyncio

from local_sagemaker.errors import logged
from local_sagemaker.gateway.cloud import Cloud
from local_sagemaker.gateway.queue_metrics import QueueMetrics
from local_sagemaker.ministack_patches.cloudwatch_alarms import Alarms
from local_sagemaker.ministack_patches.internals import scope

# The longest and the shortest time between two rounds. With scaled time, a round is that part of a second.
_LONGEST, _SHORTEST = 1.0, 0.05


class Monitor:
    """Looks at every account and region, round after round."""

    def __init__(self, cloud: Cloud, alarms: Alarms):
        self._cloud = cloud
        self._alarms = alarms
        self._queues = QueueMetrics(cloud.time_scale)
        alarms.on_policy(lambda *rings: cloud.autoscaling().alarmed(*rings))

    async def run(self) -> None:
        """Go on until cancelled; what fails is logged, and tried again in the next round."""
        while True:
            scale = self._cloud.settings.value.time_scale
            await asyncio.sleep(max(_SHORTEST, min(_LONGEST, scale)))
            self.round()

    def round(self) -> None:
        """Look at everything once."""
        for region in self._cloud.regions():
            with scope(region.account, region.name):
                with logged("the measurement of copies"):
                    region.copies.tick()
                with logged("scaling"):
                    region.autoscaling.tick()
        with logged("the metrics of queues"):
            self._queues.tick()
        with logged("the evaluation of alarms"):
            self._alarms.tick()
