"""On which instances the copies of a base model are placed."""

from enum import StrEnum


class PlacementStrategy(StrEnum):
    """How copies are placed on the instances, within each Availability Zone.

    Example::

        CopyScheduling(strategy=PlacementStrategy.BINPACK)
    """

    SPREAD = "SPREAD"
    """Evenly over the instances: one that fails takes fewer copies with it."""
    BINPACK = "BINPACK"
    """On as few instances as possible."""
