"""What `from_*` return and what other constructs accept: an endpoint, an adapter, a fleet.

This library alone implements them. Import what another app has with a `from_*` method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, Unpack

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct, IConstruct, IDependable

from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_fleet.serving.lora_limits import LoraServing
from multi_adapter_inference.artifact_source import ArtifactSource
from multi_adapter_inference.container import IContainer
from multi_adapter_inference.execution_role import ExecutionRole
from multi_adapter_inference.metrics import INVOCATION_NAMESPACE, MetricOptions


class IInferenceComponent(Protocol):
    """A base model or an adapter: something that callers send requests to.

    Example::

        def watch(component: IInferenceComponent) -> None:
            component.metric_model_latency().create_alarm(
                stack, "Slow", threshold=5_000_000, evaluation_periods=3
            )

        watch(endpoint)
    """

    @property
    def component_name(self) -> str:
        """The name that callers put into their requests."""

    @property
    def openai_base_url(self) -> str:
        """The `base_url` of an OpenAI client that talks to this component."""

    def grant_invoke(self, grantee: iam.IGrantable, *, bearer_token: bool = False) -> iam.Grant:
        """Let `grantee` send requests to this component, with `bearer_token` to `openai_base_url` as well."""

    def metric(
        self, metric_name: str, *, namespace: str = INVOCATION_NAMESPACE, **options: Unpack[MetricOptions]
    ) -> cloudwatch.Metric:
        """Return the component's metric of that name."""

    def metric_invocations(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of requests."""

    def metric_client_errors(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of requests answered with a 4XX code."""

    def metric_server_errors(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of requests answered with a 5XX code."""

    def metric_model_errors(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of requests that the container answered with another code than 2XX."""

    def metric_model_latency(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the time the container took to answer, in microseconds."""

    def metric_overhead_latency(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the time SageMaker added to that of the container, in microseconds."""

    def metric_no_capacity(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of requests that failed because the base model had no copy."""


class IMultiAdapterEndpoint(IInferenceComponent, IConstruct, Protocol):
    """An endpoint that adapters can run on: a `MultiAdapterEndpoint`, or an imported one.

    As an `IInferenceComponent`, it is its base model. A setting that synth does not know is None.

    Example::

        def add_tenants(endpoint: IMultiAdapterEndpoint) -> AdapterFleet:
            return AdapterFleet(stack, "Tenants", endpoint=endpoint, manifest=manifest)

        add_tenants(endpoint)
    """

    @property
    def endpoint_name(self) -> str:
        """The endpoint's name."""

    @property
    def endpoint_arn(self) -> str:
        """The endpoint's ARN."""

    @property
    def base_component_name(self) -> str:
        """The name of the base model's component."""

    @property
    def base_component_arn(self) -> str:
        """The ARN of the base model's component."""

    @property
    def component_prefix(self) -> str:
        """The beginning of the names of the adapters' components."""

    @property
    def identity(self) -> str:
        """A text that changes when the endpoint becomes another one, also before its name is known."""

    @property
    def container(self) -> IContainer | None:
        """The container that runs the base model."""

    @property
    def lora(self) -> LoraServing | None:
        """The engine's limits for adapters."""

    @property
    def base_model_facts(self) -> BaseModelFacts | None:
        """The base model's name and dimensions, which adapters are compared with."""

    @property
    def execution_role(self) -> ExecutionRole | None:
        """The role of the containers, which must be able to read the adapters."""

    @property
    def artifact_sources(self) -> Sequence[ArtifactSource] | None:
        """The places in buckets where adapters must be."""

    @property
    def adapters_depend_on(self) -> Sequence[IDependable]:
        """What must be there before the first adapter is created."""

    @property
    def needed_by_adapters(self) -> Sequence[IConstruct]:
        """The resources that CloudFormation cannot delete before the last adapter."""

    @property
    def scales_copies(self) -> bool:
        """Whether the copies of the base model follow the load."""

    def base_model_for(self, _scope: Construct, /) -> str | None:
        """Return a text that changes with the base model or its container, for use in a scope."""

    def hosting_for(self, _scope: Construct, /) -> Mapping[str, str | int]:
        """Return the instances and copies of the base model as far as they are known, for use in a scope."""


class ILoraAdapter(IInferenceComponent, IConstruct, Protocol):
    """An adapter with a resource of its own: a `LoraAdapter`, or an imported one.

    Example::

        def allow(adapter: ILoraAdapter) -> None:
            adapter.grant_invoke(caller)

        allow(LoraAdapter.from_component_name(stack, "Ectsum", "acme-ectsum", endpoint=endpoint))
    """

    @property
    def component_arn(self) -> str:
        """The ARN of the adapter's component."""

    @property
    def endpoint(self) -> IMultiAdapterEndpoint:
        """The endpoint that the adapter runs on."""


class IAdapterFleet(IConstruct, Protocol):
    """A fleet that callers and operators can be granted: an `AdapterFleet`, or an imported one.

    Example::

        def allow(fleet: IAdapterFleet) -> None:
            fleet.grant_read(caller)

        allow(AdapterFleet(stack, "Fleet", endpoint=endpoint, manifest=manifest))
    """

    @property
    def fleet_uid(self) -> str:
        """The fleet's identifier: the value of the tag `fleet-uid` on its components."""

    @property
    def endpoint(self) -> IMultiAdapterEndpoint:
        """The endpoint that the adapters run on."""

    @property
    def component_prefix(self) -> str:
        """The beginning of the names of the fleet's components."""

    @property
    def registry(self) -> dynamodb.ITable | None:
        """The table that holds the fleet's state."""

    @property
    def state_machine(self) -> sfn.IStateMachine | None:
        """The state machine that reconciles the fleet with its manifest."""

    def component_name(self, adapter: str) -> str:
        """Return the name of an adapter's component, which callers put into their requests."""

    def adapter(self, name: str, *, component_name: str | None = None) -> IInferenceComponent:
        """Return one adapter of the fleet, for its grants and metrics."""

    def grant_invoke(
        self,
        grantee: iam.IGrantable,
        *,
        adapters: Sequence[str] | None = None,
        components: Sequence[str] | None = None,
        bearer_token: bool = False,
    ) -> iam.Grant:
        """Let `grantee` send requests to every adapter of the fleet, or to the named ones."""

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` see the fleet's state: `adapters status`, `history` and `plan`."""

    def grant_manage(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let `grantee` use the whole `adapters` command on the fleet."""

    def metric(self, metric_name: str, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the fleet's metric of that name."""

    def metric_desired(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters in the manifest."""

    def metric_in_service(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters that serve the version in the manifest."""

    def metric_failed(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters that failed to serve the version in the manifest."""

    def metric_pending(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters whose change is in progress."""

    def metric_convergence_age(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return for how many seconds the fleet has differed from its manifest; 0 when it does not."""

    def metric_throttles(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return how many calls SageMaker throttled."""

    def metric_rejected(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of manifests that were refused, or undone because too many adapters failed."""

    def metric_drifted(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters that someone changed by hand, as the last drift check found."""

    def metric_orphans(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of components that have the fleet's tag but are in no manifest."""

    def metric_asleep(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters that wait for a copy of the base model, which has none."""

    def metric_misidentified(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of adapters in whose place another answers, as their probes found."""

    def metric_copies(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of copies of the base model, as the last pass found."""

    def metric_unchecked_copies(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return the number of copies that nobody has asked yet whether they have the adapters."""

    def metric_failed_passes(self, **options: Unpack[MetricOptions]) -> cloudwatch.Metric:
        """Return how many passes in a row failed. The fleet changes nothing while they do."""
