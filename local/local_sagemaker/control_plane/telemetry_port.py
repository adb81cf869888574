"""The port to CloudWatch, CloudWatch Logs and EventBridge, which `gateway.telemetry` implements."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

STREAM_LINES = 10_000


class Telemetry(Protocol):
    """Where one account and region publish metrics, log lines and events, and read alarms."""

    def metric(
        self, namespace: str, name: str, dimensions: Mapping[str, str], value: float, unit: str = "None"
    ) -> None:
        """Publish one value of a metric, now."""

    def log(self, group: str, stream: str, lines: Sequence[str], *, most: int = STREAM_LINES) -> None:
        """Append lines to a log stream, which is made if it is not there; it keeps the `most` newest ones."""

    def event(self, detail_type: str, detail: Mapping[str, Any], resource: str) -> None:
        """Send an event of SageMaker about a resource to the default event bus."""

    def alarm_state(self, name: str) -> str | None:
        """The state of an alarm, such as ALARM; None if there is none of that name."""
