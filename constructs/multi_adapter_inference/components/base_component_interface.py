"""What the component of a base model has for its adapters, its callers and other constructs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jsii
from aws_cdk import Resource
from constructs import Construct, IConstruct, IDependable

from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_rules.engines.lora_limits import LoraServing
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.components.inference_component import IInferenceComponent
from multi_adapter_inference.components.scaling import CopyScaling
from multi_adapter_inference.models.artifact_source import ArtifactSource
from multi_adapter_inference.models.container import IContainer
from multi_adapter_inference.models.execution_role import ExecutionRole

VARIANT_NAME = "AllTraffic"
"""The one variant of an endpoint with inference components."""


@checked
class IBaseComponent(Resource, IInferenceComponent, metaclass=jsii.JSIIAbstractClass):
    """A base model on an endpoint, which adapters run on.

    A `BaseComponent`, a `MultiAdapterEndpoint`, or an imported one. What synth does not know is None.

    Example::

        def add_tenants(base: IBaseComponent) -> AdapterFleet:
            return AdapterFleet(stack, "Tenants", endpoint=base, manifest=manifest)

        add_tenants(endpoint)
    """

    endpoint_name: str
    """The endpoint's name."""

    endpoint_arn: str
    """The endpoint's ARN."""

    _component_arns: Sequence[str] = ()

    component_prefix: str
    """The beginning of the names of the adapters' components."""

    identity: str
    """A text that no other endpoint has. Synth knows it before the deployment gives a name."""

    container: IContainer | None = None
    """The container that runs the base model."""

    lora: LoraServing | None = None
    """The engine's limits for adapters."""

    _base_model_facts: BaseModelFacts | None = None
    """The base model's name and dimensions, which adapters are compared with."""

    _execution_role: ExecutionRole | None = None
    """The role of the containers, which must be able to read the adapters."""

    artifact_sources: Sequence[ArtifactSource] | None = None
    """The places in buckets where adapters must be."""

    adapters_depend_on: Sequence[IDependable] = ()
    """What must be there before the first adapter is created."""

    @property
    def base_component_arn(self) -> str:
        """The ARN of the base model's component."""
        return self._component_arns[0]

    @property
    def base_component_name(self) -> str:
        """The name of the base model's component."""
        return self.component_name

    def _when_scaled(self, _use: Callable[[CopyScaling], None], /) -> None:
        """Call a function with the scaling of the base model's copies, as soon as synth knows of one."""

    def base_model_version_for(self, _scope: Construct, /) -> str | None:
        """Return a text that changes with the base model or its container, for use in a scope.

        None if synth does not know it.
        """
        return None

    def hosting_for(self, _scope: Construct, /) -> Mapping[str, str | int]:
        """Return the instances and copies of the base model as far as they are known, for use in a scope."""
        return {}

    @property
    def _metrics_of(self) -> IConstruct:
        return self

    @property
    def _endpoint(self) -> IBaseComponent:
        return self

    @property
    def needed_by_adapters(self) -> Sequence[IConstruct]:
        """The resources that CloudFormation cannot delete before the last adapter."""
        return []
