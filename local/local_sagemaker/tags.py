"""Tags of every kind of resource."""

from typing import TYPE_CHECKING, Any

from local_sagemaker.errors import validation_exception

if TYPE_CHECKING:
    from local_sagemaker.control_plane import ControlPlane

# [V] On one resource; a single request cannot name more, by the service's model.
_MAX_TAGS = 50


class Tags:
    """AddTags, ListTags, DeleteTags; the tags live and die with their resources."""

    def __init__(self, plane: "ControlPlane"):
        self._plane = plane
        self._of: dict[str, dict[str, str]] = {}
        self.operations = {"AddTags": self._add, "ListTags": self._list, "DeleteTags": self._delete}

    def put(self, arn: str, tags: list[dict[str, str]]) -> None:
        """Give a new resource its tags."""
        self._of[arn] = {tag["Key"]: tag["Value"] for tag in tags}

    def drop(self, arn: str) -> None:
        """Forget the tags of a resource that is gone."""
        self._of.pop(arn, None)

    def all(self) -> dict[str, dict[str, str]]:
        """The tags of every resource by its ARN."""
        return dict(self._of)

    def _existing(self, arn: str) -> dict[str, str]:
        if arn not in self._of:
            raise validation_exception(f'Could not find resource "{arn}".')
        return self._of[arn]

    def _add(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["ResourceArn"]
        tags = self._existing(arn) | {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        if len(tags) > _MAX_TAGS:
            raise validation_exception(f'"{arn}" can have at most {_MAX_TAGS} tags, got {len(tags)}.')
        self._of[arn] = tags
        return {"Tags": _listed(tags)}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        tags = self._existing(request["ResourceArn"])
        for key in request["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        # One page is all of them.
        return {"Tags": _listed(self._existing(request["ResourceArn"]))}


def refuse_reserved_keys(request: dict[str, Any]) -> None:
    """Raise ServiceError when a request sets or removes a tag that only AWS services may [V, tagging guide].

    CloudFormation's own requests do: its tags tell whose resource it is.
    """
    given = [tag.get("Key") for tag in _items(request, "Tags") if isinstance(tag, dict)]
    for key in (*given, *_items(request, "TagKeys")):
        if isinstance(key, str) and key.lower().startswith("aws:"):
            raise validation_exception(
                f"The tag key '{key}' is not allowed: 'aws:' is reserved for the use of AWS services."
            )


def _items(request: dict[str, Any], member: str) -> list[Any]:
    # The request's shape is checked later.
    value = request.get(member)
    return value if isinstance(value, list) else []


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
