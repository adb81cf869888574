"""Models: an image, its environment and the location of the weights."""

from typing import Any

from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.tags import Tags
from local_sagemaker.control_plane.unchanging_resources import UnchangingResources
from local_sagemaker.errors import validation_exception

# [V ContainerDefinition] The longest variables of all containers, in bytes: keys and values.
_LONGEST_ENVIRONMENT = 32 * 1024


class Models(UnchangingResources):
    """CreateModel, DescribeModel, ListModels and DeleteModel."""

    def __init__(self, context: Context, tags: Tags):
        super().__init__(context, tags, "Model", arn_kind="model", noun="model")

    def container(self, name: str) -> dict[str, Any]:
        """The container definition of a model."""
        model = self.get(name)
        containers: list[dict[str, Any]] = model.get("Containers") or [model["PrimaryContainer"]]
        if len(containers) != 1:
            raise validation_exception(f"Model {name} should have one container, got {len(containers)}.")
        return containers[0]

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        return super()._create({"EnableNetworkIsolation": False, **request})

    def _check(self, request: dict[str, Any]) -> None:
        if ("PrimaryContainer" in request) == ("Containers" in request):
            raise validation_exception("Exactly one of PrimaryContainer and Containers should be given.")
        if "ExecutionRoleArn" not in request:
            raise validation_exception("ExecutionRoleArn should be given.")
        containers = request.get("Containers") or [request.get("PrimaryContainer", {})]
        if not all("Image" in one or "ModelPackageName" in one for one in containers):
            # [V ContainerDefinition] Either is needed. [I] No source has the words.
            raise validation_exception("A container should have an Image or a ModelPackageName.")
        _check_environment(containers)


def _check_environment(containers: list[dict[str, Any]]) -> None:
    """Refuse variables that are too long together. [I] No source has the words."""
    variables = [text for one in containers for pair in one.get("Environment", {}).items() for text in pair]
    length = sum(len(text.encode()) for text in variables)
    if length > _LONGEST_ENVIRONMENT:
        raise validation_exception(
            f"Environment should have at most {_LONGEST_ENVIRONMENT} bytes in all containers, got {length}."
        )
