"""An endpoint of another app."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from constructs import Construct

from adapter_fleet.serving.lora_limits import LoraServing
from multi_adapter_inference._internal.arns import component_arn_spellings, endpoint_arn
from multi_adapter_inference._internal.component_names import warn_of_fixed_names
from multi_adapter_inference._internal.endpoint_base import EndpointBase
from multi_adapter_inference.artifact_source import ArtifactSource
from multi_adapter_inference.execution_role import ExecutionRole


class ImportedEndpoint(EndpointBase):
    """What `MultiAdapterEndpoint.from_endpoint_attributes` returns."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        endpoint_name: str,
        base_component_name: str,
        component_prefix: str,
        lora: LoraServing | None,
        role: iam.IRole | None,
        artifact_sources: Sequence[ArtifactSource] | None,
    ) -> None:
        super().__init__(scope, id)
        warn_of_fixed_names(
            self,
            endpoint_name=endpoint_name,
            base_component_name=base_component_name,
            component_prefix=component_prefix,
        )
        self.artifact_sources = None if artifact_sources is None else tuple(artifact_sources)
        self.endpoint_name = endpoint_name
        self.endpoint_arn = endpoint_arn(self, endpoint_name)
        self.component_name = base_component_name
        self.base_component_arn = self._base_component_arns[0]
        self.component_prefix = component_prefix
        self.identity = endpoint_name
        self.lora = lora
        if role is not None:
            self.execution_role = ExecutionRole(self, role)
            self.adapters_depend_on = (self.execution_role.policy,)

    @property
    def _base_component_arns(self) -> Sequence[str]:
        return component_arn_spellings(self, self.component_name)
