"""The port to CloudWatch, its logs and EventBridge, which `gateway.telemetry` implements."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from local_sagemaker.control_plane.endpoint_record import EndpointRecord

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
