"""The namespaces and the options of metrics."""

from typing import TypedDict

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

METRICS_NAMESPACE = "MultiAdapterInference"
"""The namespace that fleets write to."""

INVOCATION_NAMESPACE = "AWS/SageMaker"
CONTAINER_NAMESPACES = (
    INVOCATION_NAMESPACE,
    "/aws/sagemaker/Endpoints",
    "/aws/sagemaker/InferenceComponents",
)
"""The namespaces that an endpoint's instances and containers write to."""


class MetricOptions(TypedDict, total=False):
    """The options of every `metric_*`: those of the CDK's metrics that a service metric needs.

    Example::

        options: MetricOptions = {"statistic": "p99"}
        endpoint.metric_model_latency(**options)
    """

    period: Duration
    statistic: str
    label: str
    color: str
    unit: cloudwatch.Unit
    account: str
    region: str
