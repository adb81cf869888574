"""The metrics that the number of copies of a base model may follow."""

from enum import StrEnum


class ScalingMetric(StrEnum):
    """A metric of each copy of the base model that the number of copies follows.

    Example::

        target = ScalingTarget.invocations(60)  # follows `ScalingMetric.INVOCATIONS`
    """

    CONCURRENT_REQUESTS = "concurrent_requests"
    """Requests in progress. SageMaker writes it every 10 seconds."""
    INVOCATIONS = "invocations"
    """Requests a minute."""


DEFAULT_CONCURRENT_REQUESTS = 5
"""The value of SageMaker's own examples. Too low adds copies early; too high makes requests wait."""
