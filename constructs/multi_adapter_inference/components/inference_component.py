"""What callers send requests to: its grants, and its metrics by SageMaker's names."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, Unpack

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from adapter_fleet.openai.urls import base_url
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.components.grants import grant_invoke
from multi_adapter_inference.template.metrics import INVOCATION_NAMESPACE, MetricOptions
from multi_adapter_inference.template.stack_location import stack_of


class _Endpoint(Protocol):
    """What a component uses of the endpoint that it runs on."""

    endpoint_name: str
    endpoint_arn: str


@checked
class IInferenceComponent(ABC):
    """A base model or an adapter: something that callers send requests to.

    Example::

        def watch(component: IInferenceComponent) -> None:
            component.metric_model_latency().create_alarm(
                stack, "Slow", threshold=5_000_000, evaluation_periods=3
            )

        watch(endpoint)
    """

    component_name: str
    """The name that callers put into their requests."""

    @property
    @abstractmethod
    def _metrics_of(self) -> IConstruct:
        """The construct whose account and region the component has."""

    @property
    @abstractmethod
    def _endpoint(self) -> _Endpoint:
        """The endpoint that the component runs on."""

    @property
    @abstractmethod
    def _component_arns(self) -> Sequence[str]:
        """The component's ARN, in every spelling that IAM may compare with."""

    @property
    def openai_base_url(self) -> str:
        """The `base_url` of an OpenAI client that talks to this component.

        An adapter's `model` is its `component_name`, and that of the base model is empty.
        """
        stack = stack_of(self._metrics_of)
        runtime = f"https://runtime.sagemaker.{stack.region}.{stack.url_suffix}"
        return base_url(runtime, endpoint=self._endpoint.endpoint_name, component=self.component_name)

    def grant_invoke(self, grantee: iam.IGrantable, *, bearer_token: bool = False) -> iam.Grant:
        """Let `grantee` send requests to this component, and to no other one of the endpoint.

        This does not isolate tenants: the container lets a request to one adapter name another in its body.

        bearer_token:
            True allows requests to `openai_base_url`, too.
        """
        endpoint_arn = self._endpoint.endpoint_arn
        return grant_invoke(grantee, endpoint_arn, *self._component_arns, bearer_token=bearer_token)

    def metric(
        self,
        metric_name: str,
        *,
        namespace: str = INVOCATION_NAMESPACE,
        **options: Unpack[MetricOptions],
    ) -> cloudwatch.Metric:
        """Return the component's metric of that name. Default statistic: the average."""
        return cloudwatch.Metric(
            namespace=namespace,
            metric_name=metric_name,
            dimensions_map={"InferenceComponentName": self.component_name},
            **options,
        ).attach_to(self._metrics_of)

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
        """Return the number of requests that the container answered with another code than 2XX."""
        options.setdefault("statistic", cloudwatch.Stats.SUM)
        return self.metric("InvocationModelErrors", **options)

    def metric_model_latency(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the time the container took to answer, in microseconds."""
        return self.metric("ModelLatency", **options)

    def metric_overhead_latency(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the time SageMaker added to that of the container, in microseconds."""
        return self.metric("OverheadLatency", **options)

    def metric_no_capacity(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of requests that failed because the base model had no copy."""
        options.setdefault("statistic", cloudwatch.Stats.SUM)
        return self.metric("NoCapacityInvocationFailures", **options)
