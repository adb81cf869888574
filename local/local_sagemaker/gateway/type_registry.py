"""CloudFormation's registry of types, which ministack lacks, for those that the embedded cloud provisions."""

from collections.abc import Mapping
from html import escape
from typing import Any

from ministack.core.responses import get_region
from ministack.services.cloudformation import handlers, helpers, provisioners

from local_sagemaker.ministack_patches.internals import expect

_DESCRIBE, _LIST = "DescribeType", "ListTypes"
_MOST = 100
_RESOURCE = "RESOURCE"
_ARN_PART = ":type/resource/"


def install() -> None:
    """Register both operations with ministack; UnknownMinistackError if its internals differ."""
    for operation in (_DESCRIBE, _LIST):
        expect(operation not in handlers._ACTION_HANDLERS, f"ministack has no {operation} of its own")
    for name in ("_p", "_xml", "_error"):
        expect(hasattr(helpers, name), f"helpers.{name} exists")
    handlers._ACTION_HANDLERS |= {_DESCRIBE: _describe_type, _LIST: _list_types}


def _describe_type(parameters: Mapping[str, Any]) -> Any:
    kind = helpers._p(parameters, "Type", _RESOURCE)
    name = helpers._p(parameters, "TypeName")
    if not name:
        name = helpers._p(parameters, "Arn").rpartition(_ARN_PART)[2].replace("-", "::")
    if kind != _RESOURCE or name not in provisioners._RESOURCE_HANDLERS:
        # [T] The sentence as users quote it.
        return helpers._error("TypeNotFoundException", f"The type '{name}' cannot be found.", 404)
    described = {
        "Arn": _arn(name),
        "Type": _RESOURCE,
        "TypeName": name,
        "Visibility": "PUBLIC",
        "ProvisioningType": "FULLY_MUTABLE",
        "DeprecatedStatus": "LIVE",
    }
    members = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in described.items())
    return _answer(_DESCRIBE, members)


def _list_types(parameters: Mapping[str, Any]) -> Any:
    """List the types of a kind, a visibility and a prefix, page by page."""
    # [V] Without a visibility, private types are listed, and there are none.
    public = helpers._p(parameters, "Visibility", "PRIVATE") == "PUBLIC"
    kind = helpers._p(parameters, "Type", _RESOURCE)
    prefix = helpers._p(parameters, "Filters.TypeNamePrefix")
    after = helpers._p(parameters, "NextToken")
    size = int(helpers._p(parameters, "MaxResults") or _MOST)
    names = sorted(provisioners._RESOURCE_HANDLERS) if public and kind == _RESOURCE else []
    found = [name for name in names if "::" in name and name.startswith(prefix) and name > after]
    summaries = "".join(
        f"<member><Type>{_RESOURCE}</Type><TypeName>{name}</TypeName><TypeArn>{_arn(name)}</TypeArn></member>"
        for name in found[:size]
    )
    token = f"<NextToken>{found[size - 1]}</NextToken>" if len(found) > size else ""
    return _answer(_LIST, f"<TypeSummaries>{summaries}</TypeSummaries>{token}")


def _arn(name: str) -> str:
    return f"arn:aws:cloudformation:{get_region()}:{_ARN_PART}{name.replace('::', '-')}"


def _answer(operation: str, members: str) -> Any:
    return helpers._xml(200, f"{operation}Response", f"<{operation}Result>{members}</{operation}Result>")
