"""DescribeStackResources by a physical id alone.

Fault of ministack: it asks for the name of the stack, which a caller with a resource in hand does not know.
"""

from collections.abc import Mapping
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import handlers, helpers

from local_sagemaker.ministack_patches.internals import expect, expect_names

_OPERATION = "DescribeStackResources"


def install() -> None:
    """Find the stack of a resource."""
    expect_names(cloudformation, "_stacks")
    expect_names(helpers, "_p", "_error")
    expect(_OPERATION in handlers._ACTION_HANDLERS, f"ministack has {_OPERATION}")
    describe = handlers._ACTION_HANDLERS[_OPERATION]

    def describe_by_id(parameters: Mapping[str, Any]) -> Any:
        wanted = helpers._p(parameters, "PhysicalResourceId")
        if not wanted or helpers._p(parameters, "StackName"):
            return describe(parameters)
        for stack in cloudformation._stacks.values():
            gone = stack.get("StackStatus") == "DELETE_COMPLETE"
            resources = [] if gone else stack.get("_resources", {}).values()
            if any(resource.get("PhysicalResourceId") == wanted for resource in resources):
                return describe({**parameters, "StackName": stack["StackId"]})
        return helpers._error("ValidationError", f"Stack for {wanted} does not exist")

    handlers._ACTION_HANDLERS[_OPERATION] = describe_by_id
