"""The SageMaker control plane of one account and region.

Everything runs on one event loop: an operation changes the state at once and leaves the slow part to a task,
so no lock guards the records.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from local_sagemaker.clock import Clock
from local_sagemaker.endpoint_configs import EndpointConfigs
from local_sagemaker.endpoints import Endpoints
from local_sagemaker.errors import ServiceError
from local_sagemaker.hosting import Hosting
from local_sagemaker.inference_components import InferenceComponents
from local_sagemaker.models import Models
from local_sagemaker.settings import CurrentSettings
from local_sagemaker.shapes import check_request, without_nulls
from local_sagemaker.tags import Tags
from local_sagemaker.traffic import Traffic

_log = logging.getLogger(__name__)


class ControlPlane:
    """All operations by name; `call` is the API."""

    def __init__(
        self,
        *,
        account: str,
        region: str,
        settings: CurrentSettings,
        traffic: Traffic,
        clock: Clock,
        hosting: Hosting,
    ):
        self.account = account
        self.region = region
        self.settings = settings
        self.traffic = traffic
        self.clock = clock
        self.hosting = hosting
        self.tags = Tags(self)
        self.models = Models(self)
        self.endpoint_configs = EndpointConfigs(self)
        self.endpoints = Endpoints(self)
        self.components = InferenceComponents(self)
        self._operations = {
            **self.tags.operations,
            **self.models.operations,
            **self.endpoint_configs.operations,
            **self.endpoints.operations,
            **self.components.operations,
        }
        self._tasks: set[asyncio.Task[None]] = set()

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answer an API call; ServiceError when it is refused."""
        if operation not in self._operations:
            raise ServiceError("UnknownOperationException", f"The embedded cloud does not know {operation}.")
        self.traffic.admit(operation)
        check_request(operation, request)
        return self._operations[operation](without_nulls(request))

    def arn(self, kind: str, name: str) -> str:
        """The ARN of a resource; SageMaker writes the name in lower case [V]."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{kind}/{name.lower()}"

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Leave work to a task of its own."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a background task failed", exc_info=error)
