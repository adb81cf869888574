"""The metrics of a fleet."""

from typing import Unpack

import jsii
from aws_cdk import Resource
from aws_cdk import aws_cloudwatch as cloudwatch

from adapter_fleet.fleet.state.metrics import FleetMetric
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.template.metrics import METRICS_NAMESPACE, MetricOptions


@checked
class FleetMetrics(Resource, metaclass=jsii.JSIIAbstractClass):
    """The metrics of one fleet, which its passes write."""

    fleet_uid: str

    def metric(self, metric_name: str, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the fleet's metric of that name. Default statistic: the average.

        The namespace is `MultiAdapterInference`, and the dimension `Fleet` is the `fleet_uid`.
        `metric_convergence_age` is `ConvergenceAge`, and so on.
        """
        return cloudwatch.Metric(
            namespace=METRICS_NAMESPACE,
            metric_name=metric_name,
            dimensions_map={"Fleet": self.fleet_uid},
            **options,
        ).attach_to(self)

    def _metric(self, metric: FleetMetric, statistic: str, options: MetricOptions) -> cloudwatch.Metric:
        options.setdefault("statistic", statistic)
        return self.metric(metric, **options)

    def metric_desired(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters in the manifest."""
        return self._metric(FleetMetric.DESIRED, cloudwatch.Stats.MAXIMUM, options)

    def metric_in_service(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters that serve the manifest's version, or that of a rollback."""
        return self._metric(FleetMetric.IN_SERVICE, cloudwatch.Stats.MINIMUM, options)

    def metric_failed(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters that failed to serve the version in the manifest."""
        return self._metric(FleetMetric.FAILED, cloudwatch.Stats.MAXIMUM, options)

    def metric_pending(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters whose change is in progress."""
        return self._metric(FleetMetric.PENDING, cloudwatch.Stats.MAXIMUM, options)

    def metric_convergence_age(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return for how many seconds the fleet has differed from its manifest; 0 when it does not."""
        return self._metric(FleetMetric.CONVERGENCE_AGE, cloudwatch.Stats.MAXIMUM, options)

    def metric_throttles(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return how many calls SageMaker throttled."""
        return self._metric(FleetMetric.THROTTLES, cloudwatch.Stats.SUM, options)

    def metric_rejected(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of manifests that were refused, or undone because too many adapters failed."""
        return self._metric(FleetMetric.REJECTED, cloudwatch.Stats.SUM, options)

    def metric_drifted(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters that were not as the manifest says, as the last drift check found."""
        return self._metric(FleetMetric.DRIFTED, cloudwatch.Stats.MAXIMUM, options)

    def metric_orphans(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of components that have the fleet's tag but are in no manifest."""
        return self._metric(FleetMetric.ORPHANS, cloudwatch.Stats.MAXIMUM, options)

    def metric_asleep(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters that wait for a copy of the base model, which has none."""
        return self._metric(FleetMetric.ASLEEP, cloudwatch.Stats.MAXIMUM, options)

    def metric_misidentified(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters in whose place another answers, as their probes found."""
        return self._metric(FleetMetric.MISIDENTIFIED, cloudwatch.Stats.MAXIMUM, options)

    def metric_lost_archives(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters in service whose archive is gone, so that no new copy can load it."""
        return self._metric(FleetMetric.LOST_ARCHIVES, cloudwatch.Stats.MAXIMUM, options)

    def metric_copies(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of copies of the base model, as the last pass found."""
        return self._metric(FleetMetric.COPIES, cloudwatch.Stats.MAXIMUM, options)

    def metric_unchecked_copies(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of copies that nobody has asked yet whether they have the adapters."""
        return self._metric(FleetMetric.UNCHECKED_COPIES, cloudwatch.Stats.MAXIMUM, options)

    def metric_failed_passes(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return how many passes in a row failed. The fleet changes nothing while they do."""
        return self._metric(FleetMetric.FAILED_PASSES, cloudwatch.Stats.MAXIMUM, options)
