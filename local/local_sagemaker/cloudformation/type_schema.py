"""The schemas of SageMaker's CloudFormation types, made from the model of its API.

They have the top-level properties of AWS's own schemas, and say what each change does. They have no
definitions of what is inside a property, which the service's model has.
"""

from typing import Any

from local_sagemaker.cloudformation.resource_types import ResourceType
from local_sagemaker.control_plane.request_validation import operation_model, service_model

_JSON_TYPES = {
    "structure": "object",
    "map": "object",
    "list": "array",
    "integer": "integer",
    "boolean": "boolean",
}


def type_schema(resource: ResourceType) -> dict[str, Any]:
    """The schema of a type, in the form of the CloudFormation registry."""
    schema: dict[str, Any] = {
        "typeName": resource.cloudformation_type,
        "description": "Of the embedded cloud, with top-level properties only",
        "properties": _properties(resource),
        "additionalProperties": False,
        "primaryIdentifier": _paths(resource.arn),
        "readOnlyProperties": _paths(resource.arn, *resource.read_only),
        "tagging": {"taggable": True, "tagOnCreate": True, "tagProperty": "/properties/Tags"},
    }
    if resource.create_only:
        schema["createOnlyProperties"] = _paths(*resource.create_only)
    return schema


def _properties(resource: ResourceType) -> dict[str, dict[str, str]]:
    members = dict.fromkeys((resource.arn, *resource.read_only), "string")
    for operation in (f"Create{resource.kind}", f"Update{resource.kind}"):
        if operation in service_model().operation_names:
            shape = operation_model(operation).input_shape
            assert shape is not None  # each of these operations has parameters
            members |= {name: member.type_name for name, member in shape.members.items()}
    names = sorted(members.keys() - set(resource.api_only))
    return {name: {"type": _JSON_TYPES.get(members[name], "string")} for name in names}


def _paths(*names: str) -> list[str]:
    return [f"/properties/{name}" for name in sorted(names)]
