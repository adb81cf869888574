"""DescribeType of CloudFormation, which ministack lacks, for the types that the embedded cloud provisions."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from ministack.core.responses import get_region
from ministack.services.cloudformation import handlers, helpers, provisioners

from local_sagemaker.cloudformation.resource_types import RESOURCE_TYPES
from local_sagemaker.cloudformation.type_schema import type_schema
from local_sagemaker.ministack_patches.internals import expect

_OPERATION = "DescribeType"
_RESOURCE = "RESOURCE"
_ARN_PART = ":type/resource/"


def install() -> None:
    """Register DescribeType with ministack; UnknownMinistackError if its internals differ."""
    expect(_OPERATION not in handlers._ACTION_HANDLERS, f"ministack has no {_OPERATION} of its own")
    for name in ("_p", "_xml", "_error"):
        expect(hasattr(helpers, name), f"helpers.{name} exists")
    handlers._ACTION_HANDLERS[_OPERATION] = _describe_type


def _describe_type(parameters: Mapping[str, Any]) -> Any:
    kind = helpers._p(parameters, "Type", _RESOURCE)
    name = helpers._p(parameters, "TypeName")
    if not name:
        name = helpers._p(parameters, "Arn").rpartition(_ARN_PART)[2].replace("-", "::")
    if kind != _RESOURCE or name not in provisioners._RESOURCE_HANDLERS:
        # [T] The sentence as users quote it.
        return helpers._error("TypeNotFoundException", f"The type '{name}' cannot be found.", 404)
    described = {
        "Arn": f"arn:aws:cloudformation:{get_region()}:{_ARN_PART}{name.replace('::', '-')}",
        "Type": _RESOURCE,
        "TypeName": name,
        "Visibility": "PUBLIC",
        "ProvisioningType": "FULLY_MUTABLE",
        "DeprecatedStatus": "LIVE",
    }
    schema = next((type_schema(known) for known in RESOURCE_TYPES if known.cloudformation_type == name), None)
    if schema is not None:
        described["Schema"] = json.dumps(schema)
    members = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in described.items())
    result = f"<{_OPERATION}Result>{members}</{_OPERATION}Result>"
    return helpers._xml(200, f"{_OPERATION}Response", result)
