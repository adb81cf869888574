"""Which metrics an endpoint publishes, and how often."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_sagemaker as sagemaker

from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.durations import whole_seconds

# MetricsConfig in the botocore service model, and an enumeration in CloudFormation's schema
_FREQUENCIES = (10, 30, 60, 120, 180, 240, 300)


@checked
@dataclass(frozen=True, kw_only=True)
class MetricsConfig:
    """Which metrics an endpoint publishes beside the usual ones, and how often. CloudWatch charges for each.

    enhanced:
        Whether utilization and invocations are published for each instance and each copy. Default: False.
    detailed_observability:
        Whether the metrics of the containers' Prometheus endpoint, of each GPU and of the placement of
        copies are published. Default: False.
    publish_every:
        How often utilization is published, and invocations with `enhanced`: 10, 30, 60, 120, 180, 240 or 300
        seconds. Default: 60 seconds.

    Example::

        MetricsConfig(enhanced=True, publish_every=Duration.seconds(10))
    """

    enhanced: bool = False
    detailed_observability: bool = False
    publish_every: Duration | None = None

    def __post_init__(self) -> None:
        if not self.enhanced and not self.detailed_observability and self.publish_every is None:
            raise ValueError(
                "one of 'enhanced', 'detailed_observability', 'publish_every' should be given, got none"
            )
        if self.publish_every is not None:
            seconds = whole_seconds("publish_every", self.publish_every)
            if seconds not in _FREQUENCIES:
                raise ValueError(
                    f"'publish_every' should be one of {', '.join(map(str, _FREQUENCIES))} seconds, got"
                    f" {seconds}"
                )

    @property
    def _property(self) -> sagemaker.CfnEndpointConfig.MetricsConfigProperty:
        """The property of the endpoint configuration."""
        every = self.publish_every
        return sagemaker.CfnEndpointConfig.MetricsConfigProperty(
            enable_enhanced_metrics=self.enhanced or None,
            enable_detailed_observability=self.detailed_observability or None,
            metric_publish_frequency_in_seconds=None
            if every is None
            else whole_seconds("publish_every", every),
        )
