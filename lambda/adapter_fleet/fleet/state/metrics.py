"""The names of a fleet's metrics, which its passes write and its construct reads."""

from enum import StrEnum


class FleetMetric(StrEnum):
    """A metric of a fleet. The construct's `metric_…` says what it is."""

    DESIRED = "Desired"
    IN_SERVICE = "InService"
    FAILED = "Failed"
    PENDING = "Pending"
    CONVERGENCE_AGE = "ConvergenceAge"
    THROTTLES = "Throttles"
    REJECTED = "Rejected"
    DRIFTED = "Drifted"
    ORPHANS = "Orphans"
    ASLEEP = "Asleep"
    MISIDENTIFIED = "Misidentified"
    LOST_ARCHIVES = "LostArchives"
    COPIES = "Copies"
    UNCHECKED_COPIES = "UncheckedCopies"
    FAILED_PASSES = "FailedPasses"
