"""The ports of a control plane.

`runtime.hosting` implements the hosting of components. `gateway.telemetry` implements CloudWatch, its logs
and EventBridge.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import httpx

from local_sagemaker.control_plane.endpoint_record import EndpointRecord


class Copy(Protocol):
    """One copy of a base component; `runtime.containers.ContainerProcess` implements it."""

    engine: str
    """What serves it, in words."""

    number: int
    """What tells the copy from others of the account and region."""

    @property
    def running(self) -> bool:
        """Whether the copy still runs."""

    @property
    def outstanding(self) -> int:
        """Number of requests in progress."""

    @property
    def outstanding_of_base(self) -> int:
        """Number of requests in progress that name no adapter."""

    def new_lines(self) -> list[str]:
        """What the copy has printed since the last call."""

    def post(
        self, path: str, adapter: str | None, headers: Mapping[str, str], body: bytes
    ) -> AbstractAsyncContextManager[httpx.Response]:
        """The answer to a request at a path of the container, with an unread body."""

    async def register(self, adapter: str, directory: Path) -> None:
        """Load an adapter."""

    async def unregister(self, adapter: str) -> None:
        """Remove an adapter."""

    async def drained(self, adapter: str | None = None) -> None:
        """Wait for the requests in progress, of one adapter or all."""

    async def ended(self) -> None:
        """Wait until the copy has ended."""

    async def stop(self, *, drain: bool = True) -> None:
        """End the copy."""


class Hosting(Protocol):
    """Stores artifacts and runs copies; `runtime.hosting.LocalHosting` implements it."""

    async def fetch_model(self, container: dict[str, Any], role: str) -> Path:
        """A directory with the base model of a container definition."""

    async def fetch_adapter(self, url: str, role: str) -> Path:
        """A directory with the files of an adapter archive."""

    async def start_copy(self, model: Path, environment: Mapping[str, str], start_seconds: float) -> Copy:
        """A new copy that serves a model; HostingError if it is not healthy within start_seconds."""

    def discard(self, directory: Path) -> None:
        """Release a directory that `fetch_model` or `fetch_adapter` returned."""


STREAM_LINES = 10_000


class Telemetry(Protocol):
    """Where one account and region publish metrics and log lines, and read alarms."""

    def metric(
        self, namespace: str, name: str, dimensions: Mapping[str, str], value: float, unit: str = "None"
    ) -> None:
        """Publish one value of a metric, now."""

    def endpoint_changed(self, endpoint: EndpointRecord) -> None:
        """Send the event of an endpoint's new status to EventBridge."""

    def log(self, group: str, stream: str, lines: Sequence[str], *, most: int = STREAM_LINES) -> None:
        """Append lines to a log stream, which is made if it is not there; it keeps the `most` newest ones."""

    def alarm_state(self, name: str) -> str | None:
        """The state of an alarm, such as ALARM; None if there is none of that name."""
