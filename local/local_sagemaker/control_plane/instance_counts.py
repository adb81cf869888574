"""How many instances each variant of an endpoint has now, which follow its copies by managed scaling."""

from dataclasses import dataclass
from typing import Any

from local_sagemaker.control_plane.capacity import instance_count, scales_instances
from local_sagemaker.control_plane.component_store import ComponentStore
from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.endpoint_record import EndpointRecord


@dataclass
class _Instances:
    count: int
    surplus_since: float | None = None


class InstanceCounts:
    """The instances of every variant.

    [V ManagedInstanceScaling] Their number follows the copies between the minimum, which may be 0, and the
    maximum. A copy's instance is there at once. An instance without copies leaves after a time
    (`managed_scale_in_seconds`).
    """

    def __init__(self, context: Context, components: ComponentStore):
        self._context = context
        self._components = components
        self._known: dict[tuple[str, str], _Instances] = {}

    def current(self, endpoint: EndpointRecord, variant: dict[str, Any]) -> int:
        """The instances of a variant now."""
        key = endpoint.arn, variant["VariantName"]
        if not scales_instances(variant):
            self._known.pop(key, None)
            return instance_count(variant)
        instances = self._known.setdefault(key, _Instances(variant["InitialInstanceCount"]))
        needed = self._needed(endpoint, variant)
        now, settings = self._context.clock.now(), self._context.settings.value
        if needed >= instances.count:
            instances.count, instances.surplus_since = needed, None
        elif instances.surplus_since is None:
            instances.surplus_since = now
        elif now - instances.surplus_since >= settings.managed_scale_in_seconds * settings.time_scale:
            instances.count, instances.surplus_since = needed, None
        return min(instances.count, instance_count(variant))

    def _needed(self, endpoint: EndpointRecord, variant: dict[str, Any]) -> int:
        """The instances that have copies, at least the minimum."""
        bases = self._components.bases_on(endpoint, variant["VariantName"])
        used = {instance for base in bases for instance, _ in base.placements}
        least: int = variant["ManagedInstanceScaling"].get("MinInstanceCount", 1)
        return max(len(used), least)

    def forget(self, endpoint: EndpointRecord) -> None:
        """Drop what is known of an endpoint that is deleted, or that gets another configuration."""
        for key in [key for key in self._known if key[0] == endpoint.arn]:
            del self._known[key]
