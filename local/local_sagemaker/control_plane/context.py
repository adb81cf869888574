"""The context of a control plane's parts: account, settings, clock, limits, faults, hosting, telemetry."""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from local_sagemaker.clock import Clock
from local_sagemaker.control_plane.faults import Faults
from local_sagemaker.control_plane.ports import Hosting, Telemetry
from local_sagemaker.control_plane.throttling import Throttling
from local_sagemaker.settings import CurrentSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Context:
    """The surroundings of one control plane.

    Every part of a control plane runs on one event loop. An operation changes the records at once and leaves
    its slow part to a background task, so no lock guards the records.
    """

    account: str
    region: str
    settings: CurrentSettings
    throttling: Throttling
    faults: Faults
    clock: Clock
    hosting: Hosting
    telemetry: Telemetry
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def arn(self, kind: str, name: str) -> str:
        """The ARN of a resource; SageMaker writes the name in lower case [V]."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{kind}/{name.lower()}"

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work in a background task; its failure is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a background task failed", exc_info=error)
