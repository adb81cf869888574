"""Telemetry of a fleet: a log line for each change of an adapter, and the fleet's metrics."""

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from adapter_fleet.common.bounded_text import bounded, text_of
from adapter_fleet.fleet.state.generations import Generation, Outcome
from adapter_fleet.fleet.state.metrics import FleetMetric
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
        rejected = generation.outcome in (Outcome.REFUSED, Outcome.FAILED)
        values: dict[FleetMetric, float] = {
            FleetMetric.DESIRED: generation.desired,
            FleetMetric.IN_SERVICE: generation.in_service,
            FleetMetric.FAILED: generation.failed,
            FleetMetric.PENDING: generation.pending,
            FleetMetric.CONVERGENCE_AGE: age,
            FleetMetric.THROTTLES: throttles,
            FleetMetric.DRIFTED: drifted,
            FleetMetric.ORPHANS: generation.orphans,
            FleetMetric.FAILED_PASSES: fleet.failed_passes,
            FleetMetric.ASLEEP: asleep,
            FleetMetric.MISIDENTIFIED: misidentified,
            FleetMetric.LOST_ARCHIVES: lost_archives,
            FleetMetric.COPIES: fleet.base_copies,
            FleetMetric.UNCHECKED_COPIES: fleet.unchecked_copies,
            FleetMetric.REJECTED: int(rejected),
        }
        for metric, value in values.items():
            unit = MetricUnit.Seconds if metric is FleetMetric.CONVERGENCE_AGE else MetricUnit.Count
            self._metrics.add_metric(name=metric, unit=unit, value=value)
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
        self._metrics.add_metric(name=FleetMetric.REJECTED, unit=MetricUnit.Count, value=1)
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
        self._metrics.add_metric(name=FleetMetric.FAILED_PASSES, unit=MetricUnit.Count, value=in_a_row)
        self._metrics.flush_metrics()
        self._logger.error("pass failed", reason=text_of(error), passes=in_a_row, exc_info=error)
