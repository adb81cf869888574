"""Endpoints: creation, change of the configuration, and deletion once no component is left."""

import contextlib
from typing import Any

from local_sagemaker.control_plane.capacity import Placement, move_copies
from local_sagemaker.control_plane.case_insensitive_dict import CaseInsensitiveDict
from local_sagemaker.control_plane.component import BaseComponent
from local_sagemaker.control_plane.component_store import ComponentStore
from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.deployments import Deployments
from local_sagemaker.control_plane.endpoint_configs import EndpointConfigs, in_force
from local_sagemaker.control_plane.endpoint_record import EndpointRecord
from local_sagemaker.control_plane.instance_counts import InstanceCounts
from local_sagemaker.control_plane.listings import list_page
from local_sagemaker.control_plane.tags import Tags
from local_sagemaker.errors import (
    HostingError,
    MissingResourceError,
    ResourceStateError,
    validation_exception,
)

# What DescribeEndpoint repeats of a configuration and of its variants.
_SHOWN_OF_CONFIG = ("AsyncInferenceConfig", "CrossRegionTrafficConfig", "ExplainerConfig", "MetricsConfig")
_SHOWN_OF_VARIANT = (
    "AcceleratorPartitionLayouts",
    "CapacityReservationConfig",
    "ManagedInstanceScaling",
    "RoutingConfig",
)


class Endpoints:
    """CreateEndpoint, DescribeEndpoint, ListEndpoints, UpdateEndpoint and DeleteEndpoint."""

    def __init__(
        self,
        context: Context,
        tags: Tags,
        configs: EndpointConfigs,
        components: ComponentStore,
        instances: InstanceCounts,
        deployments: Deployments,
    ):
        self._context = context
        self._tags = tags
        self._configs = configs
        self._components = components
        self.instances = instances
        self._deployments = deployments
        self._endpoints: CaseInsensitiveDict[EndpointRecord] = CaseInsensitiveDict()
        self.operations = {
            "CreateEndpoint": self._create,
            "DescribeEndpoint": self._describe,
            "ListEndpoints": self._list,
            "UpdateEndpoint": self._update,
            "DeleteEndpoint": self._delete,
        }

    def find(self, name: str) -> EndpointRecord | None:
        """An endpoint, None if there is none of that name."""
        return self._endpoints.get(name)

    def get(self, name: str) -> EndpointRecord:
        """An endpoint; ValidationException if there is none of that name."""
        endpoint = self.find(name)
        if endpoint is None:
            raise validation_exception(
                f'Could not find endpoint "{self._context.arn("endpoint", name)}".', MissingResourceError
            )
        return endpoint

    def all(self) -> list[EndpointRecord]:
        """Every endpoint."""
        return list(self._endpoints.values())

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        arn = self._context.arn("endpoint", name)
        if name in self._endpoints:
            raise validation_exception(f'Cannot create already existing endpoint "{arn}".')
        config = in_force(self._configs.get(request["EndpointConfigName"]))
        now = self._context.clock.now()
        endpoint = EndpointRecord(
            name=name,
            arn=arn,
            config=config,
            created=now,
            modified=now,
            deployment=request.get("DeploymentConfig"),
        )
        self._endpoints[name] = endpoint
        self.instances.start(endpoint)
        self._tags.put(arn, request.get("Tags", []))
        self._enter(endpoint, endpoint.status)
        self._context.spawn(self._settle(endpoint))
        return {"EndpointArn": arn}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._settled(request["EndpointName"])
        config = self._retaining(
            endpoint, in_force(self._configs.get(request["EndpointConfigName"])), request
        )
        names = {variant["VariantName"] for variant in config["ProductionVariants"]}
        for component in self._components.on_endpoint(endpoint):
            if component.variant not in names:
                raise validation_exception(
                    f'Cannot update endpoint "{endpoint.arn}": variant {component.variant}, which has '
                    f"inference components, is not in endpoint configuration {config['EndpointConfigName']}."
                )
        try:
            self._placements_with(endpoint, config)
        except HostingError as error:
            # [I] AWS starts the update and rolls it back when the copies find no room.
            raise validation_exception(f'Cannot update endpoint "{endpoint.arn}": {error}') from error
        self._enter(endpoint, "Updating")
        self._context.spawn(self._settle(endpoint, config))
        if not request.get("RetainDeploymentConfig"):
            # [I] An update without one leaves none: clients show it as the endpoint's setting.
            endpoint.deployment = request.get("DeploymentConfig")
        return {"EndpointArn": endpoint.arn}

    def _retaining(
        self, endpoint: EndpointRecord, config: dict[str, Any], request: dict[str, Any]
    ) -> dict[str, Any]:
        """A configuration with the present numbers of instances if the request retains them [V]."""
        excluded = [
            excluded["VariantPropertyType"]
            for excluded in request.get("ExcludeRetainedVariantProperties", [])
        ]
        if not request.get("RetainAllVariantProperties") or "DesiredInstanceCount" in excluded:
            return config
        present = {
            variant["VariantName"]: self.instances.counts(endpoint, variant)[0]
            for variant in endpoint.config["ProductionVariants"]
        }
        variants = [
            {**variant, "InitialInstanceCount": present[name]}
            if (name := variant["VariantName"]) in present
            else variant
            for variant in config["ProductionVariants"]
        ]
        return {**config, "ProductionVariants": variants}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._settled(request["EndpointName"])
        if self._components.on_endpoint(endpoint):
            # [T] The sentence as users quote it.
            raise validation_exception("Cannot delete endpoint with inference component associated")
        self._enter(endpoint, "Deleting")
        self._context.spawn(self._remove(endpoint))
        return {}

    async def _settle(self, endpoint: EndpointRecord, config: dict[str, Any] | None = None) -> None:
        await self._context.clock.sleep(self._context.settings.value.endpoint_seconds)
        if config is not None:
            endpoint.failure_reason = None
            try:
                await self._apply(endpoint, config)
            except HostingError as error:
                # New copies have taken the room meanwhile. The service rolls back, so the endpoint does too.
                endpoint.failure_reason = str(error)
        self._enter(endpoint, "InService")

    async def _apply(self, endpoint: EndpointRecord, config: dict[str, Any]) -> None:
        """Put a configuration in force; HostingError if the copies find no room.

        Copies whose instance type changes are replaced by new ones. Updates of components in progress end
        first: they have chosen instances of the old configuration.
        """
        types = {variant["VariantName"]: variant["InstanceType"] for variant in config["ProductionVariants"]}
        for component in self._bases(endpoint):
            before = endpoint.variant(component.variant)
            if before is None or before["InstanceType"] != types[component.variant]:
                # [I] A copy does not outlive its instance.
                await self._deployments.renew(component)
        async with contextlib.AsyncExitStack() as stack:
            for component in self._bases(endpoint):
                await stack.enter_async_context(component.rollout)
            placed = self._placements_with(endpoint, config)
            endpoint.config = config
            for component, placements in placed.items():
                component.placements = placements
            self.instances.start(endpoint)

    def _bases(self, endpoint: EndpointRecord) -> list[BaseComponent]:
        components = self._components.on_endpoint(endpoint)
        return [component for component in components if isinstance(component, BaseComponent)]

    def _placements_with(
        self, endpoint: EndpointRecord, config: dict[str, Any]
    ) -> dict[BaseComponent, list[Placement]]:
        """Place the copies under another configuration; HostingError if they find no room."""
        placements = {}
        for variant in config["ProductionVariants"]:
            bases = self._components.bases_on(endpoint, variant["VariantName"])
            rest = move_copies(
                variant,
                [placement for base in bases for placement in base.placements],
                kept=self._context.settings.value.instance_memory_kept,
            )
            for base in bases:
                count = len(base.placements)
                placements[base], rest = rest[:count], rest[count:]
        return placements

    async def _remove(self, endpoint: EndpointRecord) -> None:
        await self._context.clock.sleep(self._context.settings.value.endpoint_seconds)
        del self._endpoints[endpoint.name]
        self._tags.drop(endpoint.arn)
        self.instances.forget(endpoint)

    def _settled(self, name: str) -> EndpointRecord:
        endpoint = self.get(name)
        if endpoint.shown_status != "InService":
            # [V AWS's SageMaker operator for Kubernetes] The sentence is the service's, of deletions too.
            raise validation_exception(
                f'Cannot update in-progress endpoint "{endpoint.arn}".', ResourceStateError
            )
        return endpoint

    def _enter(self, endpoint: EndpointRecord, status: str) -> None:
        endpoint.status = status
        endpoint.modified = self._context.clock.now()
        self._context.telemetry.endpoint_changed(endpoint)

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self.get(request["EndpointName"])
        # First, as it may be time for an instance to leave.
        variants = [self._variant_summary(endpoint, one) for one in endpoint.config["ProductionVariants"]]
        described = self._summary(endpoint) | {"EndpointConfigName": endpoint.config["EndpointConfigName"]}
        if endpoint.deployment is not None:
            described["LastDeploymentConfig"] = endpoint.deployment
        if endpoint.failure_reason is not None:
            # [V ACK] An endpoint that keeps its configuration after a failed update has a reason.
            described["FailureReason"] = endpoint.failure_reason
        if endpoint.status != "Creating":
            described["ProductionVariants"] = variants
        described |= {key: endpoint.config[key] for key in _SHOWN_OF_CONFIG if key in endpoint.config}
        return described

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        summaries = [self._summary(endpoint) for endpoint in self._endpoints.values()]
        return list_page(request, summaries, kind="Endpoint", equals={"StatusEquals": "EndpointStatus"})

    def _variant_summary(self, endpoint: EndpointRecord, variant: dict[str, Any]) -> dict[str, Any]:
        instances, desired = self.instances.counts(endpoint, variant)
        summary = {
            "VariantName": variant["VariantName"],
            "CurrentInstanceCount": instances,
            "DesiredInstanceCount": desired,
            **{key: variant[key] for key in _SHOWN_OF_VARIANT if key in variant},
        }
        if "InstancePools" in variant:
            counts = {variant["InstanceType"]: instances}
            types = [pool["InstanceType"] for pool in variant["InstancePools"]]
            summary["InstancePools"] = [
                {"InstanceType": kind, "CurrentInstanceCount": counts.get(kind, 0)} for kind in types
            ]
        return summary

    @staticmethod
    def _summary(endpoint: EndpointRecord) -> dict[str, Any]:
        return {
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "EndpointStatus": endpoint.shown_status,
            "CreationTime": endpoint.created,
            "LastModifiedTime": endpoint.modified,
        }
