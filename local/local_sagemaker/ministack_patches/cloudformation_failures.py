"""Custom resources that failed, and resources that cannot be deleted."""

import contextlib
import secrets
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import custom_resource, stacks

from local_sagemaker.ministack_patches.internals import expect_names, replace_everywhere, replaces


def install_failed_custom_resources() -> None:
    """A custom resource whose Create failed receives a Delete in the rollback.

    Fault of ministack: it sends none. On AWS, a custom resource that did not answer receives one too [T, the
    second hour that a rollback waits]. Its physical id is that of the FAILED answer, or else one that
    CloudFormation generates [I, like other generated names].
    """
    failed: dict[tuple[str, str], str] = {}

    @replaces(custom_resource, "deliver_response")
    def deliver_and_remember(deliver: Any, token: str, response: dict[str, Any]) -> Any:
        if response.get("Status") == "FAILED" and response.get("PhysicalResourceId"):
            resource = (response.get("StackId", ""), response.get("LogicalResourceId", ""))
            failed[resource] = response["PhysicalResourceId"]
        return deliver(token, response)

    @replaces(custom_resource, "invoke_custom_resource")
    def invoke_and_clean_up(invoke: Any, request_type: str, *given: Any, **identity: Any) -> Any:
        logical_id, _properties, stack_name, stack_id, _resource_type = given
        resource = (stack_id, logical_id)
        failed.pop(resource, None)
        try:
            return invoke(request_type, *given, **identity)
        except (RuntimeError, TimeoutError) as error:
            physical_id = failed.pop(resource, None)
            if isinstance(error, TimeoutError):
                physical_id = f"{stack_name}-{logical_id}-{secrets.token_hex(6).upper()}"
            stack = cloudformation._stacks.get(stack_name) or {}
            if request_type == "Create" and physical_id and not stack.get("DisableRollback"):
                # The failure of the Create is reported, not the one of the Delete.
                with contextlib.suppress(RuntimeError, TimeoutError):
                    invoke("Delete", *given, physical_id=physical_id)
            raise


# The stack whose deletion is running in this context.
_deleting: ContextVar[dict[str, Any] | None] = ContextVar("stack that is being deleted", default=None)


def install_failed_deletions() -> None:
    """The dependencies of a resource that cannot be deleted stay, as on AWS.

    Fault of ministack: it deletes them all the same, such as the table that a custom resource needs to be
    deleted at the next try. [I] On AWS they stay, since a forced deletion "retains dependencies" too.
    """
    expect_names(stacks, "_delete_stack_async", "_with_dependencies")
    delete = stacks._delete_stack_async

    async def delete_with_order(stack_name: str, *arguments: Any, **options: Any) -> None:
        token = _deleting.set(cloudformation._stacks.get(stack_name))
        try:
            await delete(stack_name, *arguments, **options)
        finally:
            _deleting.reset(token)

    # Only in this module: the deletion looks the function up here.
    @replaces(stacks, "_topological_sort")
    def sort_for_deletion(sort: Any, definitions: dict[str, Any], conditions: Any) -> list[str]:
        ordered: list[str] = sort(definitions, conditions)
        stack = _deleting.get()
        return ordered if stack is None else _DeletionOrder(ordered, definitions, stack)

    replace_everywhere(cloudformation, delete, delete_with_order)


class _DeletionOrder(list[str]):
    """Logical ids in dependency order; ministack deletes the resources in the reversed order.

    It marks a resource that it could not delete as DELETE_FAILED before it asks for the next one.
    """

    def __init__(self, ordered: list[str], definitions: dict[str, Any], stack: dict[str, Any]):
        super().__init__(ordered)
        self._definitions = definitions
        self._stack = stack

    def __reversed__(self) -> Iterator[str]:
        resources = self._stack.get("_resources", {})
        kept: set[str] = set()
        for logical_id in super().__reversed__():
            if logical_id in kept:
                continue
            yield logical_id
            if resources.get(logical_id, {}).get("ResourceStatus") == "DELETE_FAILED":
                kept |= stacks._with_dependencies([logical_id], self._definitions, set(resources))
