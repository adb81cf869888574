"""Endpoints: they come up, change their configuration, and go when no component is left on them."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_sagemaker.capacity import instance_count
from local_sagemaker.errors import HostingError, validation_exception
from local_sagemaker.names import ByName
from local_sagemaker.paging import page

if TYPE_CHECKING:
    from local_sagemaker.control_plane import ControlPlane

_log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class Endpoint:
    """An endpoint with the configuration in force."""

    name: str
    arn: str
    config: dict[str, Any]
    created: float
    modified: float
    status: str = "Creating"

    @property
    def role(self) -> str:
        """The role that acts for the components."""
        role: str = self.config["ExecutionRoleArn"]
        return role

    def variant(self, name: str) -> dict[str, Any] | None:
        """A production variant by name."""
        variants: list[dict[str, Any]] = self.config["ProductionVariants"]
        return next((variant for variant in variants if variant["VariantName"] == name), None)


class Endpoints:
    """CreateEndpoint, DescribeEndpoint, ListEndpoints, UpdateEndpoint, DeleteEndpoint."""

    def __init__(self, plane: "ControlPlane"):
        self._plane = plane
        self._endpoints: ByName[Endpoint] = ByName()
        self.operations = {
            "CreateEndpoint": self._create,
            "DescribeEndpoint": self._describe,
            "ListEndpoints": self._list,
            "UpdateEndpoint": self._update,
            "DeleteEndpoint": self._delete,
        }

    def find(self, name: str) -> Endpoint | None:
        """An endpoint, if there is one of that name."""
        return self._endpoints.get(name)

    def get(self, name: str) -> Endpoint:
        """An endpoint; ValidationException when there is none of that name."""
        endpoint = self.find(name)
        if endpoint is None:
            raise validation_exception(f'Could not find endpoint "{self._plane.arn("endpoint", name)}".')
        return endpoint

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        arn = self._plane.arn("endpoint", name)
        if name in self._endpoints:
            raise validation_exception(f'Cannot create already existing endpoint "{arn}".')
        config = self._plane.endpoint_configs.get(request["EndpointConfigName"])
        now = self._plane.clock.now()
        endpoint = Endpoint(name=name, arn=arn, config=config, created=now, modified=now)
        self._endpoints[name] = endpoint
        self._plane.tags.put(arn, request.get("Tags", []))
        self._plane.spawn(self._settle(endpoint))
        return {"EndpointArn": arn}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._settled(request["EndpointName"], "update")
        config = self._plane.endpoint_configs.get(request["EndpointConfigName"])
        names = {variant["VariantName"] for variant in config["ProductionVariants"]}
        for component in self._plane.components.on_endpoint(endpoint.name):
            if component.variant not in names:
                raise validation_exception(
                    f'Cannot update endpoint "{endpoint.arn}": variant {component.variant}, which has '
                    "inference "
                    f"components, is not in endpoint configuration {request['EndpointConfigName']}."
                )
        try:
            self._plane.components.moved(endpoint.name, config["ProductionVariants"])
        except HostingError as error:
            # [I] AWS starts the update, and goes back when the copies find no room.
            raise validation_exception(f'Cannot update endpoint "{endpoint.arn}": {error}') from error
        self._enter(endpoint, "Updating")
        self._plane.spawn(self._settle(endpoint, config))
        return {"EndpointArn": endpoint.arn}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._settled(request["EndpointName"], "delete")
        if self._plane.components.on_endpoint(endpoint.name):
            # [T] The sentence as it was told.
            raise validation_exception("Cannot delete endpoint with inference component associated")
        self._enter(endpoint, "Deleting")
        self._plane.spawn(self._remove(endpoint))
        return {}

    async def _settle(self, endpoint: Endpoint, config: dict[str, Any] | None = None) -> None:
        await self._plane.clock.sleep(self._plane.settings.value.endpoint_seconds)
        if config is not None:
            try:
                await self._move(endpoint, config)
            except HostingError as error:
                # Copies have come since; as the service goes back, so does this.
                _log.warning("%s keeps its configuration: %s", endpoint.arn, error)
        self._enter(endpoint, "InService")

    async def _move(self, endpoint: Endpoint, config: dict[str, Any]) -> None:
        """Take the configuration, with new copies on instances of another type; HostingError for no room."""
        variants = config["ProductionVariants"]
        moved = self._plane.components.moved(endpoint.name, variants)
        types = {variant["VariantName"]: variant["InstanceType"] for variant in variants}
        for component in moved:
            before = endpoint.variant(component.variant)
            if before is None or before["InstanceType"] != types[component.variant]:
                # [I] A copy does not outlive its instance.
                await self._plane.components.renew(component)
        endpoint.config = config
        for component, placements in self._plane.components.moved(endpoint.name, variants).items():
            component.placements = placements

    async def _remove(self, endpoint: Endpoint) -> None:
        await self._plane.clock.sleep(self._plane.settings.value.endpoint_seconds)
        del self._endpoints[endpoint.name]
        self._plane.tags.drop(endpoint.arn)

    def _settled(self, name: str, verb: str) -> Endpoint:
        endpoint = self.get(name)
        if endpoint.status != "InService":
            raise validation_exception(
                f'Cannot {verb} endpoint "{endpoint.arn}" while it is in status "{endpoint.status}".'
            )
        return endpoint

    def _enter(self, endpoint: Endpoint, status: str) -> None:
        endpoint.status = status
        endpoint.modified = self._plane.clock.now()

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self.get(request["EndpointName"])
        described = self._summary(endpoint) | {"EndpointConfigName": endpoint.config["EndpointConfigName"]}
        if endpoint.status != "Creating":
            described["ProductionVariants"] = [
                {
                    "VariantName": variant["VariantName"],
                    "CurrentInstanceCount": instance_count(variant),
                    "DesiredInstanceCount": instance_count(variant),
                    **{
                        key: variant[key]
                        for key in ("ManagedInstanceScaling", "RoutingConfig")
                        if key in variant
                    },
                }
                for variant in endpoint.config["ProductionVariants"]
            ]
        return described

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        summaries = [self._summary(endpoint) for endpoint in self._endpoints.values()]
        return page(request, summaries, kind="Endpoint", equals={"StatusEquals": "EndpointStatus"})

    @staticmethod
    def _summary(endpoint: Endpoint) -> dict[str, Any]:
        return {
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "EndpointStatus": endpoint.status,
            "CreationTime": endpoint.created,
            "LastModifiedTime": endpoint.modified,
        }
