"""The clock of everything that happens by itself: measurements, logs, alarms, scaling."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region

from local_sagemaker.gateway.cloud import Cloud
from local_sagemaker.gateway.queue_metrics import QueueMetrics
from local_sagemaker.ministack_patches.cloudwatch_alarms import Alarms, scope

_log = logging.getLogger(__name__)

# The longest and the shortest time between two rounds. With scaled time, a round is that part of a second.
_LONGEST, _SHORTEST = 1.0, 0.05

_SCALING_POLICY = "arn:aws:autoscaling:"


class Monitor:
    """Looks at every account and region, round after round."""

    def __init__(self, cloud: Cloud, alarms: Alarms):
        self._cloud = cloud
        self._alarms = alarms
        self._queues = QueueMetrics(cloud.time_scale)
        # Alarms may ring on the thread of a function that has logged a metric.
        self._actions: list[tuple[str, str, Callable[[], None]]] = []
        alarms.on_action(_SCALING_POLICY, self._scale)

    def _scale(self, action: str, alarm: Mapping[str, Any], value: float | None) -> None:
        def carry_out() -> None:
            self._cloud.autoscaling().alarmed(action, alarm, value)

        self._actions.append((get_account_id(), get_region(), carry_out))

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
                _guarded(region.copies.tick)
                _guarded(region.autoscaling.tick)
        _guarded(self._queues.tick)
        _guarded(self._alarms.tick)
        while self._actions:
            account, name, action = self._actions.pop(0)
            with scope(account, name):
                _guarded(action)


def _guarded(step: Callable[[], None]) -> None:
    try:
        step()
    except Exception:
        _log.exception("a round of the monitor failed")
