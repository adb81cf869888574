"""A custom resource whose Create failed receives a Delete in the rollback.

Fault of ministack: it sends none. On AWS, a custom resource that did not answer receives one too [T, the
second hour that a rollback waits]. Its physical id is one that CloudFormation generates [I, like other
generated names].
"""

import contextlib
import secrets
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import custom_resource

from local_sagemaker.ministack_patches.internals import expect_names


def install() -> None:
    """Remember the physical id of a FAILED answer, and send the Delete before reporting the failure."""
    expect_names(custom_resource, "deliver_response", "invoke_custom_resource")
    deliver, invoke = custom_resource.deliver_response, custom_resource.invoke_custom_resource
    failed: dict[tuple[str, str], str] = {}

    def deliver_and_remember(token: str, response: dict[str, Any]) -> Any:
        if response.get("Status") == "FAILED" and response.get("PhysicalResourceId"):
            resource = (response.get("StackId", ""), response.get("LogicalResourceId", ""))
            failed[resource] = response["PhysicalResourceId"]
        return deliver(token, response)

    def invoke_and_clean_up(
        request_type: str,
        logical_id: str,
        properties: dict[str, Any],
        stack_name: str,
        stack_id: str,
        resource_type: str,
        **identity: Any,
    ) -> Any:
        resource = (stack_id, logical_id)
        failed.pop(resource, None)
        try:
            return invoke(
                request_type, logical_id, properties, stack_name, stack_id, resource_type, **identity
            )
        except (RuntimeError, TimeoutError) as error:
            physical_id = failed.pop(resource, None)
            if isinstance(error, TimeoutError):
                physical_id = f"{stack_name}-{logical_id}-{secrets.token_hex(6).upper()}"
            stack = cloudformation._stacks.get(stack_name) or {}
            if request_type == "Create" and physical_id and not stack.get("DisableRollback"):
                # The failure of the Create is reported, not the one of the Delete.
                with contextlib.suppress(RuntimeError, TimeoutError):
                    invoke(
                        "Delete",
                        logical_id,
                        properties,
                        stack_name,
                        stack_id,
                        resource_type,
                        physical_id=physical_id,
                    )
            raise

    custom_resource.deliver_response = deliver_and_remember
    custom_resource.invoke_custom_resource = invoke_and_clean_up
