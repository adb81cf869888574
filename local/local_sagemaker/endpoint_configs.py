"""Endpoint configurations: which instances, and the role that acts for their components."""

from typing import TYPE_CHECKING, Any

from local_sagemaker.errors import validation_exception
from local_sagemaker.names import ByName
from local_sagemaker.paging import page

if TYPE_CHECKING:
    from local_sagemaker.control_plane import ControlPlane


class EndpointConfigs:
    """CreateEndpointConfig, DescribeEndpointConfig, ListEndpointConfigs, DeleteEndpointConfig."""

    def __init__(self, plane: "ControlPlane"):
        self._plane = plane
        self._configs: ByName[dict[str, Any]] = ByName()
        self.operations = {
            "CreateEndpointConfig": self._create,
            "DescribeEndpointConfig": self._describe,
            "ListEndpointConfigs": self._list,
            "DeleteEndpointConfig": self._delete,
        }

    def get(self, name: str) -> dict[str, Any]:
        """A configuration as DescribeEndpointConfig answers it."""
        if name not in self._configs:
            raise validation_exception(
                f'Could not find endpoint configuration "{self._plane.arn("endpoint-config", name)}".'
            )
        return self._configs[name]

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        arn = self._plane.arn("endpoint-config", name)
        if name in self._configs:
            raise validation_exception(f'Cannot create already existing endpoint configuration "{arn}".')
        for variant in request["ProductionVariants"]:
            self._check_variant(variant)
        if "ExecutionRoleArn" not in request:
            raise validation_exception(
                "ExecutionRoleArn should be given, since the production variants have no ModelName."
            )
        tags = request.pop("Tags", [])
        self._configs[name] = {**request, "EndpointConfigArn": arn, "CreationTime": self._plane.clock.now()}
        self._plane.tags.put(arn, tags)
        return {"EndpointConfigArn": arn}

    @staticmethod
    def _check_variant(variant: dict[str, Any]) -> None:
        name = variant["VariantName"]
        if "ModelName" in variant:
            raise validation_exception(
                f"Production variant {name} has a ModelName; the embedded cloud serves inference "
                "components only."
            )
        for member in ("InstanceType", "InitialInstanceCount"):
            if member not in variant:
                raise validation_exception(f"Production variant {name} should have an {member}.")

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.get(request["EndpointConfigName"])

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        members = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        summaries = [{member: config[member] for member in members} for config in self._configs.values()]
        return page(request, summaries, kind="EndpointConfig")

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        config = self.get(request["EndpointConfigName"])
        del self._configs[request["EndpointConfigName"]]
        self._plane.tags.drop(config["EndpointConfigArn"])
        return {}
