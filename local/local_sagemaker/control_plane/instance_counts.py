"""How many instances each variant of an endpoint has now, which follow its copies by managed scaling."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from local_sagemaker.control_plane.capacity import instance_count, scales_instances
from local_sagemaker.control_plane.component import BaseComponent
from local_sagemaker.control_plane.component_store import ComponentStore
from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.endpoint_record import EndpointRecord


@dataclass
class _Instances:
    count: int
    desired: int
    surplus_since: float | None = None


class InstanceCounts:
    """The instances of every variant.

    [V ManagedInstanceScaling] Their number follows the copies between the minimum, which may be 0, and the
    maximum. [T saved outputs] Meanwhile the endpoint is `Updating`, and its current number is not the desired
    one. An instance without copies leaves after a time (`managed_scale_in_seconds`).
    """

    def __init__(self, context: Context, components: ComponentStore):
        self._context = context
        self._components = components
        self._known: dict[tuple[str, str], _Instances] = {}

    @contextmanager
    def changing(self, endpoint: EndpointRecord) -> Iterator[None]:
        """Show that the service changes the instances of an endpoint."""
        self._count_change(endpoint, 1)
        try:
            yield
        finally:
            self._count_change(endpoint, -1)

    def _count_change(self, endpoint: EndpointRecord, more: int) -> None:
        before = endpoint.shown_status
        endpoint.instance_changes += more
        if endpoint.shown_status != before:
            endpoint.modified = self._context.clock.now()
            self._context.telemetry.endpoint_changed(endpoint)

    def counts(self, endpoint: EndpointRecord, variant: dict[str, Any]) -> tuple[int, int]:
        """The instances of a variant now, and those that it is about to have."""
        if not scales_instances(variant):
            return (instance_count(variant),) * 2
        instances = self._followed(endpoint, variant)
        return instances.count, instances.desired

    async def provide(self, base: BaseComponent) -> None:
        """Wait for the instances that the copies of a base component are placed on."""
        current, desired = self.counts(base.endpoint, base.production_variant)
        if desired > current:
            await self._context.clock.sleep(self._context.settings.value.endpoint_seconds)

    def _followed(self, endpoint: EndpointRecord, variant: dict[str, Any]) -> _Instances:
        instances = self._known[endpoint.arn, variant["VariantName"]]
        needed = self._needed(endpoint, variant)
        now, settings = self._context.clock.now(), self._context.settings.value
        waited = 0.0 if instances.surplus_since is None else now - instances.surplus_since
        if instances.desired > needed and waited < settings.managed_scale_in_seconds * settings.time_scale:
            instances.surplus_since = now - waited
        else:
            if instances.desired != needed:
                self._context.spawn(self._reach(endpoint, instances, needed))
                self._count_change(endpoint, 1)
            instances.desired, instances.surplus_since = needed, None
        return instances

    async def _reach(self, endpoint: EndpointRecord, instances: _Instances, count: int) -> None:
        await self._context.clock.sleep(self._context.settings.value.endpoint_seconds)
        instances.count = count
        self._count_change(endpoint, -1)

    def start(self, endpoint: EndpointRecord) -> None:
        """Begin with the first number of the configuration in force, or with what the copies need."""
        for variant in filter(scales_instances, endpoint.config["ProductionVariants"]):
            count = max(
                min(variant["InitialInstanceCount"], instance_count(variant)), self._needed(endpoint, variant)
            )
            self._known[endpoint.arn, variant["VariantName"]] = _Instances(count, count)

    def _needed(self, endpoint: EndpointRecord, variant: dict[str, Any]) -> int:
        """The instances that copies need, at least the minimum, at most the maximum."""
        bases = self._components.bases_on(endpoint, variant["VariantName"])
        used = {instance for base in bases for instance, _ in base.placements}
        # [T saved outputs] One instance more while a base component rolls.
        rolling = self._context.settings.value.base_update_room == "provisioned" and any(
            base.rolling and base.copies for base in bases
        )
        least: int = variant["ManagedInstanceScaling"].get("MinInstanceCount", 1)
        return min(max(len(used) + rolling, least), instance_count(variant))

    def forget(self, endpoint: EndpointRecord) -> None:
        """Drop what is known of an endpoint that is deleted."""
        for key in [key for key in self._known if key[0] == endpoint.arn]:
            del self._known[key]
