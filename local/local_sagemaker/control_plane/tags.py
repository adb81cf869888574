"""Tags of every kind of resource."""

from typing import Any

from local_sagemaker.errors import validation_exception

# [V] On one resource; the service's model already limits a single request to as many.
_MAX_TAGS = 50


class Tags:
    """AddTags, ListTags and DeleteTags; a resource's tags are dropped with the resource."""

    def __init__(self) -> None:
        self._by_arn: dict[str, dict[str, str]] = {}
        self.operations = {"AddTags": self._add, "ListTags": self._list, "DeleteTags": self._delete}

    def put(self, arn: str, tags: list[dict[str, str]]) -> None:
        """Set the tags of a new resource."""
        self._by_arn[arn] = {tag["Key"]: tag["Value"] for tag in tags}

    def drop(self, arn: str) -> None:
        """Drop the tags of a deleted resource."""
        self._by_arn.pop(arn, None)

    def all(self) -> dict[str, dict[str, str]]:
        """The tags of every resource by its ARN."""
        return dict(self._by_arn)

    def _existing(self, arn: str) -> dict[str, str]:
        if arn not in self._by_arn:
            raise validation_exception(f'Could not find resource "{arn}".')
        return self._by_arn[arn]

    def _add(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["ResourceArn"]
        tags = self._existing(arn) | {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        if len(tags) > _MAX_TAGS:
            raise validation_exception(f'"{arn}" can have at most {_MAX_TAGS} tags, got {len(tags)}.')
        self._by_arn[arn] = tags
        return {"Tags": _tag_list(tags)}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        tags = self._existing(request["ResourceArn"])
        for key in request["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        # All tags are on one page, so no token is one that an answer had.
        if request.get("NextToken"):
            raise validation_exception("The pagination token is invalid.")
        return {"Tags": _tag_list(self._existing(request["ResourceArn"]))}


def check_keys(request: dict[str, Any]) -> None:
    """Raise ApiError if a request sets or removes a tag reserved for AWS services, or sets a key twice.

    [V, tagging guide] A resource has a key once. [I] No source has the words.

    CloudFormation's own requests do not pass here: their tags name the stack of the resource.
    """
    given = [tag.get("Key") for tag in _items(request, "Tags") if isinstance(tag, dict)]
    for key in (*given, *_items(request, "TagKeys")):
        if isinstance(key, str) and key.lower().startswith("aws:"):
            raise validation_exception(
                f"The tag key '{key}' is not allowed: 'aws:' is reserved for the use of AWS services."
            )
    twice = {key for key in given if isinstance(key, str) and given.count(key) > 1}
    if twice:
        raise validation_exception(f"Tag keys should be different, got '{min(twice)}' twice.")


def _items(request: dict[str, Any], member: str) -> list[Any]:
    # The request's shape is checked later.
    value = request.get(member)
    return value if isinstance(value, list) else []


def _tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
