"""Resources that no operation changes: models and endpoint configurations."""

from typing import Any

from local_sagemaker.control_plane.case_insensitive_dict import CaseInsensitiveDict
from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.listings import list_page
from local_sagemaker.control_plane.tags import Tags
from local_sagemaker.errors import MissingResourceError, validation_exception


class UnchangingResources:
    """Create, Describe, List and Delete for the resources of one kind.

    kind is the noun in operations and members, such as `Model`, arn_kind that in ARNs, and noun that in
    messages.
    """

    def __init__(self, context: Context, tags: Tags, kind: str, *, arn_kind: str, noun: str):
        self._context = context
        self._tags = tags
        self._kind, self._arn_kind, self._noun = kind, arn_kind, noun
        self._resources: CaseInsensitiveDict[dict[str, Any]] = CaseInsensitiveDict()
        self.operations = {
            f"Create{kind}": self._create,
            f"Describe{kind}": self._describe,
            f"List{kind}s": self._list,
            f"Delete{kind}": self._delete,
        }

    def get(self, name: str) -> dict[str, Any]:
        """A resource in the form of the answer that describes it."""
        if name not in self._resources:
            arn = self._context.arn(self._arn_kind, name)
            raise validation_exception(f'Could not find {self._noun} "{arn}".', MissingResourceError)
        return self._resources[name]

    def _check(self, request: dict[str, Any]) -> None:
        """Raise a ValidationException for a request that makes no such resource."""

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request[f"{self._kind}Name"]
        arn = self._context.arn(self._arn_kind, name)
        if name in self._resources:
            raise validation_exception(f'Cannot create already existing {self._noun} "{arn}".')
        self._check(request)
        tags = request.pop("Tags", [])
        now = self._context.clock.now()
        self._resources[name] = {**request, f"{self._kind}Arn": arn, "CreationTime": now}
        self._tags.put(arn, tags)
        return {f"{self._kind}Arn": arn}

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.get(request[f"{self._kind}Name"])

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        members = (f"{self._kind}Name", f"{self._kind}Arn", "CreationTime")
        summaries = [{member: one[member] for member in members} for one in self._resources.values()]
        return list_page(request, summaries, kind=self._kind)

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        resource = self._describe(request)
        del self._resources[request[f"{self._kind}Name"]]
        self._tags.drop(resource[f"{self._kind}Arn"])
        return {}
