"""The SageMaker API of one account and region: finds the operation of a call and checks its request."""

from typing import Any

from local_sagemaker.control_plane.component import base_of
from local_sagemaker.control_plane.component_store import ComponentStore
from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.deployments import Deployments
from local_sagemaker.control_plane.endpoint_configs import EndpointConfigs
from local_sagemaker.control_plane.endpoints import Endpoints
from local_sagemaker.control_plane.inference_components import InferenceComponents
from local_sagemaker.control_plane.instance_counts import InstanceCounts
from local_sagemaker.control_plane.models import Models
from local_sagemaker.control_plane.request_validation import check_request, without_nulls
from local_sagemaker.control_plane.tags import Tags
from local_sagemaker.errors import ApiError


class SageMakerControlPlane:
    """All operations by name; `call` is the API.

    tags, endpoints and components are what the gateway and the runtime look up.
    """

    def __init__(self, context: Context):
        self.context = context
        self.tags = Tags()
        self.components = ComponentStore(context, self.tags)
        models = Models(context, self.tags)
        configs = EndpointConfigs(context, self.tags)
        instances = InstanceCounts(context, self.components)
        deployments = Deployments(context, models, self.components, instances)
        self.endpoints = Endpoints(context, self.tags, configs, self.components, instances, deployments)
        components = InferenceComponents(context, models, self.endpoints, self.components, deployments)
        self._operations = {
            **self.tags.operations,
            **models.operations,
            **configs.operations,
            **self.endpoints.operations,
            **components.operations,
        }

    def engines(self, component: str) -> list[str]:
        """What serves the copies of a component or of its base, in words; nothing if it has no copy."""
        found = self.components.find(component)
        copies = [] if found is None else base_of(found).running_copies
        return sorted({copy.engine for copy in copies})

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answer an API call; ApiError if it is refused."""
        if operation not in self._operations:
            raise ApiError("UnknownOperationException", f"The embedded cloud does not know {operation}.")
        self.context.throttling.admit(operation)
        check_request(operation, request)
        return self.answer(operation, without_nulls(request))

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a call that the cloud makes itself, which is neither throttled nor checked."""
        return self._operations[operation](request)
