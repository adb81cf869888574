"""The error that fails a deployment."""

from adapter_fleet.common.bounded_text import bounded

MAX_ERROR_BYTES = 1500
"""A response to CloudFormation may have 4,096 bytes in all, as JSON."""


class FleetError(Exception):
    """The fleet cannot become what was requested. CloudFormation shows the message, cut to what it takes."""

    def __init__(self, message: str) -> None:
        super().__init__(bounded(message, MAX_ERROR_BYTES))
