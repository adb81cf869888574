"""Models: an image, its environment and where the weights are."""

from typing import TYPE_CHECKING, Any

from local_sagemaker.errors import validation_exception
from local_sagemaker.names import ByName
from local_sagemaker.paging import page

if TYPE_CHECKING:
    from local_sagemaker.control_plane import ControlPlane


class Models:
    """CreateModel, DescribeModel, ListModels, DeleteModel."""

    def __init__(self, plane: "ControlPlane"):
        self._plane = plane
        self._models: ByName[dict[str, Any]] = ByName()
        self.operations = {
            "CreateModel": self._create,
            "DescribeModel": self._describe,
            "ListModels": self._list,
            "DeleteModel": self._delete,
        }

    def get(self, name: str) -> dict[str, Any]:
        """A model as DescribeModel answers it."""
        if name not in self._models:
            raise validation_exception(f'Could not find model "{self._plane.arn("model", name)}".')
        return self._models[name]

    def container(self, name: str) -> dict[str, Any]:
        """The container definition of a model."""
        model = self.get(name)
        if "PrimaryContainer" in model:
            primary: dict[str, Any] = model["PrimaryContainer"]
            return primary
        if len(model["Containers"]) != 1:
            raise validation_exception(
                f"Model {name} should have one container, got {len(model['Containers'])}."
            )
        only: dict[str, Any] = model["Containers"][0]
        return only

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelName"]
        arn = self._plane.arn("model", name)
        if name in self._models:
            raise validation_exception(f'Cannot create already existing model "{arn}".')
        if ("PrimaryContainer" in request) == ("Containers" in request):
            raise validation_exception("Exactly one of PrimaryContainer and Containers should be given.")
        if "ExecutionRoleArn" not in request:
            raise validation_exception("ExecutionRoleArn should be given.")
        tags = request.pop("Tags", [])
        self._models[name] = {
            "EnableNetworkIsolation": False,
            **request,
            "ModelArn": arn,
            "CreationTime": self._plane.clock.now(),
        }
        self._plane.tags.put(arn, tags)
        return {"ModelArn": arn}

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.get(request["ModelName"])

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        members = ("ModelName", "ModelArn", "CreationTime")
        summaries = [{member: model[member] for member in members} for model in self._models.values()]
        return page(request, summaries, kind="Model")

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        model = self.get(request["ModelName"])
        del self._models[request["ModelName"]]
        self._plane.tags.drop(model["ModelArn"])
        return {}
