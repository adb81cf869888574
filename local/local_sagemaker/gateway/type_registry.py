"""DescribeType of CloudFormation, for the types that the embedded cloud provisions."""

from collections.abc import Mapping
from html import escape
from typing import Any

from ministack.core.responses import get_region
from ministack.services.cloudformation import handlers, helpers, provisioners

from local_sagemaker.ministack_patches.internals import expect, expect_names

_DESCRIBE = "DescribeType"
_RESOURCE = "RESOURCE"


def install() -> None:
    """Register the operation with ministack; UnknownMinistackError if its internals differ."""
    expect(_DESCRIBE not in handlers._ACTION_HANDLERS, f"ministack has no {_DESCRIBE} of its own")
    expect_names(helpers, "_p", "_xml", "_error")
    handlers._ACTION_HANDLERS[_DESCRIBE] = _describe_type


def _describe_type(parameters: Mapping[str, Any]) -> Any:
    name = helpers._p(parameters, "TypeName")
    if helpers._p(parameters, "Type", _RESOURCE) != _RESOURCE or name not in provisioners._RESOURCE_HANDLERS:
        # [T] The sentence as users quote it.
        return helpers._error("TypeNotFoundException", f"The type '{name}' cannot be found.", 404)
    described = {
        "Arn": f"arn:aws:cloudformation:{get_region()}::type/resource/{name.replace('::', '-')}",
        "Type": _RESOURCE,
        "TypeName": name,
    }
    members = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in described.items())
    return helpers._xml(200, f"{_DESCRIBE}Response", f"<{_DESCRIBE}Result>{members}</{_DESCRIBE}Result>")
