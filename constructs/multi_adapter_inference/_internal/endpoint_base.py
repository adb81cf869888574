"""What a `MultiAdapterEndpoint` and an imported endpoint have in common: adapters, grants and metrics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Unpack

import jsii
from aws_cdk import aws_iam as iam
from constructs import Construct, IConstruct, IDependable

from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_fleet.serving.lora_limits import LoraServing
from multi_adapter_inference._internal.argument_types import checked
from multi_adapter_inference._internal.openai_url import openai_base_url
from multi_adapter_inference.adapter import LoraAdapter
from multi_adapter_inference.artifact import AdapterArtifact
from multi_adapter_inference.artifact_source import ArtifactSource
from multi_adapter_inference.container import IContainer
from multi_adapter_inference.execution_role import ExecutionRole
from multi_adapter_inference.fleet import AdapterFleet, FleetOptions
from multi_adapter_inference.grants import grant_invoke
from multi_adapter_inference.manifest import AdapterManifest
from multi_adapter_inference.metrics import ComponentMetrics

# The ids of an endpoint's own children. Its adapters are children as well, so their logical ids are short.
_OWN_IDS = frozenset(
    {
        "AlarmPolicy",
        "Base",
        "Config",
        "Model",
        "Policy",
        "Resource",
        "Role",
        "Scaling",
        "SecurityGroup",
        "UpdateAlarm",
    }
)


@checked
class EndpointBase(Construct, ComponentMetrics, metaclass=jsii.JSIIAbstractClass):
    """The adapters, grants and metrics of an endpoint. Implements `IMultiAdapterEndpoint`.

    `component_name` and the metrics are those of the base model's component.
    """

    endpoint_name: str
    endpoint_arn: str
    base_component_arn: str
    component_prefix: str
    identity: str
    container: IContainer | None = None
    lora: LoraServing | None = None
    base_model_facts: BaseModelFacts | None = None
    execution_role: ExecutionRole | None = None
    adapters_depend_on: Sequence[IDependable] = ()
    artifact_sources: Sequence[ArtifactSource] | None = None

    @property
    def base_component_name(self) -> str:
        """The name of the base model's component."""
        return self.component_name

    def add_adapter(
        self,
        id: str,
        *,
        artifact: AdapterArtifact,
        adapter_name: str | None = None,
        component_name: str | None = None,
        component_per_version: bool = False,
    ) -> LoraAdapter:
        """Add an adapter to the base model; see `LoraAdapter`."""
        self._check_id(id, "an adapter")
        return LoraAdapter(
            self,
            id,
            endpoint=self,
            artifact=artifact,
            adapter_name=adapter_name,
            component_name=component_name,
            component_per_version=component_per_version,
        )

    def add_fleet(
        self, id: str, *, manifest: AdapterManifest, **options: Unpack[FleetOptions]
    ) -> AdapterFleet:
        """Add the adapters of a manifest to the base model; see `AdapterFleet`."""
        self._check_id(id, "a fleet")
        return AdapterFleet(self, id, endpoint=self, manifest=manifest, **options)

    @property
    def openai_base_url(self) -> str:
        """The `base_url` of an OpenAI client that talks to the base model; `model` is empty.

        Each adapter has an `openai_base_url` of its own.
        """
        return openai_base_url(self, self.endpoint_name, self.component_name)

    def grant_invoke(self, grantee: iam.IGrantable, *, bearer_token: bool = False) -> iam.Grant:
        """Let `grantee` send requests to the base model. Each adapter has a `grant_invoke` of its own.

        bearer_token:
            True allows requests to `openai_base_url`, too. Default: False.
        """
        return grant_invoke(grantee, self.endpoint_arn, *self._base_component_arns, bearer_token=bearer_token)

    def base_model_for(self, _scope: Construct, /) -> str | None:
        """Return a text that changes with the base model or its container, for use in a scope.

        None if synth does not know it.
        """
        return None

    def hosting_for(self, _scope: Construct, /) -> Mapping[str, str | int]:
        """Return the instances and copies of the base model as far as they are known, for use in a scope."""
        return {}

    @property
    def scales_copies(self) -> bool:
        """Whether the copies of the base model are known to follow the load."""
        return False

    @property
    def needed_by_adapters(self) -> Sequence[IConstruct]:
        """The resources that CloudFormation cannot delete before the last adapter."""
        return []

    @property
    @abstractmethod
    def _base_component_arns(self) -> Sequence[str]:
        """The base component's ARN, in every spelling that IAM may compare with."""

    def _check_id(self, id: str, what: str) -> None:
        if id in _OWN_IDS:
            raise ValueError(
                f"'id' of {what} should be none of {', '.join(sorted(_OWN_IDS))}, which"
                f" '{self.node.path}' keeps for its own parts, got {id!r}"
            )
        taken = self.node.try_find_child(id)
        if taken is not None:
            raise ValueError(
                f"{what} should have an id of its own, got {id!r} for '{taken.node.path}' and for another one"
            )
