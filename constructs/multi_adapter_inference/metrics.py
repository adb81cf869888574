"""The CloudWatch metrics of inference components, by their official names."""

from __future__ import annotations

from typing import TypedDict, Unpack

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from multi_adapter_inference._internal.arguments import checked

INVOCATION_NAMESPACE = "AWS/SageMaker"
CONTAINER_NAMESPACES = (
    INVOCATION_NAMESPACE,
    "/aws/sagemaker/Endpoints",
    "/aws/sagemaker/InferenceComponents",
)
"""Where an endpoint's instances and containers put their metrics."""


class MetricOptions(TypedDict, total=False):
    """What every `metric_*` takes, as everywhere in the CDK."""

    period: Duration
    statistic: str
    label: str
    color: str
    unit: cloudwatch.Unit
    account: str
    region: str


@checked
class ComponentMetrics:
    """Metrics of one inference component: a base model or an adapter. A mixin."""

    component_name: str

    def metric(
        self,
        metric_name: str,
        *,
        namespace: str = INVOCATION_NAMESPACE,
        **options: Unpack[MetricOptions],
    ) -> cloudwatch.Metric:
        """Return the metric of that name of this component; the statistic is the average by default."""
        return cloudwatch.Metric(
            namespace=namespace,
            metric_name=metric_name,
            dimensions_map={"InferenceComponentName": self.component_name},
            **options,
        )

    def metric_invocations(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of requests."""
        options.setdefault("statistic", cloudwatch.Stats.SUM)
        return self.metric("Invocations", **options)

    def metric_client_errors(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of requests answered with a 4XX code."""
        options.setdefault("statistic", cloudwatch.Stats.SUM)
        return self.metric("Invocation4XXErrors", **options)

    def metric_server_errors(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of requests answered with a 5XX code."""
        options.setdefault("statistic", cloudwatch.Stats.SUM)
        return self.metric("Invocation5XXErrors", **options)

    def metric_model_errors(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of requests that the container answered with something else than 2XX."""
        options.setdefault("statistic", cloudwatch.Stats.SUM)
        return self.metric("InvocationModelErrors", **options)

    def metric_model_latency(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the time the container took to answer, in microseconds."""
        return self.metric("ModelLatency", **options)

    def metric_overhead_latency(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the time SageMaker added to that of the container, in microseconds."""
        return self.metric("OverheadLatency", **options)
