"""A fleet of another app."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from multi_adapter_inference._internal.bound_manifest import ManifestObject
from multi_adapter_inference._internal.errors import error_context
from multi_adapter_inference.endpoint_interface import IMultiAdapterEndpoint
from multi_adapter_inference.fleet_interface import IAdapterFleet, checked_prefix, stack_arn


class ImportedFleet(IAdapterFleet):
    """What `AdapterFleet.from_fleet_attributes` returns."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        fleet_uid: str,
        endpoint: IMultiAdapterEndpoint,
        component_prefix: str | None,
        registry: dynamodb.ITable | None,
        state_machine: sfn.IStateMachine | None,
        stack_name: str | None,
        manifest_bucket: s3.IBucket | None,
        manifest_key: str | None,
    ) -> None:
        super().__init__(scope, id)
        with error_context(self):
            self.component_prefix = checked_prefix(endpoint, component_prefix)
            if (manifest_bucket is None) != (manifest_key is None):
                given = "manifest_bucket" if manifest_key is None else "manifest_key"
                raise ValueError(
                    f"'manifest_bucket' and 'manifest_key' should be given together, got '{given}' alone"
                )
            if manifest_bucket is not None and manifest_key is not None:
                self._manifest_object = ManifestObject(
                    bucket=manifest_bucket, key=manifest_key, enable_events=False
                )
        self.fleet_uid = fleet_uid
        self.endpoint = endpoint
        self.registry = registry
        self.state_machine = state_machine
        self._stack_name = stack_name

    @property
    def _component_names(self) -> None:
        return None

    @property
    def _stacks(self) -> Sequence[str]:
        return [] if self._stack_name is None else [stack_arn(self, self._stack_name)]
