"""What a `MultiAdapterEndpoint` and an imported endpoint have in common: their adapters and fleets."""

from __future__ import annotations

from typing import Unpack

from multi_adapter_inference._internal.argument_types import checked
from multi_adapter_inference.adapter import LoraAdapter
from multi_adapter_inference.artifact import AdapterArtifact
from multi_adapter_inference.endpoint_interface import IMultiAdapterEndpoint
from multi_adapter_inference.fleet import AdapterFleet, FleetOptions
from multi_adapter_inference.manifest import AdapterManifest

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
class EndpointBase(IMultiAdapterEndpoint):
    """An endpoint that adapters and fleets can be added to as children."""

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
