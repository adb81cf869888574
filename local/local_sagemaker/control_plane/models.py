"""Models: an image, its environment and the location of the weights."""

from typing import Any

from local_sagemaker.control_plane.case_insensitive_dict import CaseInsensitiveDict
from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.listings import list_page
from local_sagemaker.control_plane.tags import Tags
from local_sagemaker.errors import MissingResourceError, validation_exception

# [V ContainerDefinition] The longest variables of all containers, in bytes: keys and values.
_LONGEST_ENVIRONMENT = 32 * 1024


class Models:
    """CreateModel, DescribeModel, ListModels and DeleteModel."""

    def __init__(self, context: Context, tags: Tags):
        self._context = context
        self._tags = tags
        self._models: CaseInsensitiveDict[dict[str, Any]] = CaseInsensitiveDict()
        self.operations = {
            "CreateModel": self._create,
            "DescribeModel": self._describe,
            "ListModels": self._list,
            "DeleteModel": self._delete,
        }

    def get(self, name: str) -> dict[str, Any]:
        """A model in the form of DescribeModel's answer."""
        if name not in self._models:
            raise validation_exception(
                f'Could not find model "{self._context.arn("model", name)}".', MissingResourceError
            )
        return self._models[name]

    def container(self, name: str) -> dict[str, Any]:
        """The container definition of a model."""
        model = self.get(name)
        containers: list[dict[str, Any]] = model.get("Containers") or [model["PrimaryContainer"]]
        if len(containers) != 1:
            raise validation_exception(f"Model {name} should have one container, got {len(containers)}.")
        return containers[0]

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelName"]
        arn = self._context.arn("model", name)
        if name in self._models:
            raise validation_exception(f'Cannot create already existing model "{arn}".')
        if ("PrimaryContainer" in request) == ("Containers" in request):
            raise validation_exception("Exactly one of PrimaryContainer and Containers should be given.")
        if "ExecutionRoleArn" not in request:
            raise validation_exception("ExecutionRoleArn should be given.")
        containers = request.get("Containers") or [request.get("PrimaryContainer", {})]
        if not all("Image" in one or "ModelPackageName" in one for one in containers):
            # [V ContainerDefinition] Either is needed. [I] No source has the words.
            raise validation_exception("A container should have an Image or a ModelPackageName.")
        _check_environment(containers)
        tags = request.pop("Tags", [])
        self._models[name] = {
            "EnableNetworkIsolation": False,
            **request,
            "ModelArn": arn,
            "CreationTime": self._context.clock.now(),
        }
        self._tags.put(arn, tags)
        return {"ModelArn": arn}

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.get(request["ModelName"])

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        members = ("ModelName", "ModelArn", "CreationTime")
        summaries = [{member: model[member] for member in members} for model in self._models.values()]
        return list_page(request, summaries, kind="Model")

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        model = self.get(request["ModelName"])
        del self._models[request["ModelName"]]
        self._tags.drop(model["ModelArn"])
        return {}


def _check_environment(containers: list[dict[str, Any]]) -> None:
    """Refuse variables that are too long together. [I] No source has the words."""
    variables = [text for one in containers for pair in one.get("Environment", {}).items() for text in pair]
    length = sum(len(text.encode()) for text in variables)
    if length > _LONGEST_ENVIRONMENT:
        raise validation_exception(
            f"Environment should have at most {_LONGEST_ENVIRONMENT} bytes in all containers, got {length}."
        )
