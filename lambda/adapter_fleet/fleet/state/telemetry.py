"""Telemetry of a fleet: a log line for each change of an adapter, and the fleet's metrics."""

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from adapter_fleet.common.bounded_text import bounded, text_of
from adapter_fleet.fleet.state.generations import Generation, Outcome
from adapter_fleet.fleet.state.records import Event, FleetRecord


class FleetTelemetry:
    """Telemetry by Powertools: structured logs, and metrics embedded in them (EMF)."""

    def __init__(self, *, uid: str, namespace: str) -> None:
        self._logger = Logger(service="adapter-fleet")
        self._metrics = Metrics(namespace=namespace)
        # The only dimension: each combination of dimensions is a metric of its own. Powertools would add the
        # service's name if the environment had it.
        self._metrics.set_default_dimensions(Fleet=uid)

    def changed(self, event: Event) -> None:
        """Log one change of an adapter."""
        self._logger.info(
            f"adapter {event.what}",
            adapter=event.name,
            component=event.component,
            change=event.what,
            before=event.before,
            after=event.after,
            seconds=event.seconds,
            cause=event.cause,
            generation=event.generation,
        )

    def measured(
        self,
        generation: Generation,
        fleet: FleetRecord,
        *,
        age: float,
        throttles: int,
        drifted: int,
        asleep: int,
        misidentified: int,
        lost_archives: int,
    ) -> None:
        """Emit the fleet's metrics, and log a summary of the pass.

        age:
            For how many seconds the fleet has differed from its manifest.
        asleep:
            How many adapters wait for a copy of the base model.
        misidentified:
            In the place of how many adapters another answers.
        lost_archives:
            How many adapters in service have an archive that no new copy could load.
        """
        for name, unit, value in (
            ("Desired", MetricUnit.Count, generation.desired),
            ("InService", MetricUnit.Count, generation.in_service),
            ("Failed", MetricUnit.Count, generation.failed),
            ("Pending", MetricUnit.Count, generation.pending),
            ("ConvergenceAge", MetricUnit.Seconds, age),
            ("Throttles", MetricUnit.Count, throttles),
            ("Drifted", MetricUnit.Count, drifted),
            ("Orphans", MetricUnit.Count, generation.orphans),
            ("FailedPasses", MetricUnit.Count, fleet.failed_passes),
            ("Asleep", MetricUnit.Count, asleep),
            ("Misidentified", MetricUnit.Count, misidentified),
            ("LostArchives", MetricUnit.Count, lost_archives),
            ("Copies", MetricUnit.Count, fleet.base_copies),
            ("UncheckedCopies", MetricUnit.Count, fleet.unchecked_copies),
            ("Rejected", MetricUnit.Count, int(generation.outcome in (Outcome.REFUSED, Outcome.FAILED))),
        ):
            self._metrics.add_metric(name=name, unit=unit, value=value)
        self._metrics.flush_metrics()
        self._logger.info(
            "pass ended",
            generation=generation.number,
            outcome=generation.outcome,
            reason=generation.reason,
            writes=generation.writes,
            reads=generation.reads,
            rate=fleet.rate,
            serial=fleet.serial,
        )

    def rejected(self, generation: Generation) -> None:
        """Report a manifest in S3 that was refused before any pass."""
        self._metrics.add_metric(name="Rejected", unit=MetricUnit.Count, value=1)
        self._metrics.flush_metrics()
        self._logger.warning("manifest refused", generation=generation.number, reason=generation.reason)

    def trouble(self, text: str) -> None:
        """Log what a pass could not do, whether or not it goes on."""
        self._logger.warning("something could not be done", reason=bounded(text))

    def unexpected(self, component: str, error: Exception) -> None:
        """Log an unexpected exception, with where it came from; it is one component's failure."""
        self._logger.error("unexpected exception", component=component, reason=text_of(error), exc_info=error)

    def failed_pass(self, error: Exception, *, in_a_row: int) -> None:
        """Log that a pass ended with an exception, and emit how many passes in a row did."""
        self._metrics.add_metric(name="FailedPasses", unit=MetricUnit.Count, value=in_a_row)
        self._metrics.flush_metrics()
        self._logger.error("pass failed", reason=text_of(error), passes=in_a_row, exc_info=error)
