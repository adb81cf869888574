"""The dependencies of a resource that cannot be deleted stay, as on AWS.

Fault of ministack: it deletes them all the same, such as the table that a custom resource needs to be deleted
at the next try. [I] On AWS they stay, since a forced deletion "retains dependencies" too.
"""

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import stacks

from local_sagemaker.ministack_patches.internals import expect_names, replace_everywhere

# The stack whose deletion is running in this context.
_deleting: ContextVar[dict[str, Any] | None] = ContextVar("stack that is being deleted", default=None)


def install() -> None:
    """Skip the dependencies of failed resources in the order in which a stack's resources are deleted."""
    expect_names(stacks, "_delete_stack_async", "_topological_sort", "_with_dependencies")
    delete, sort = stacks._delete_stack_async, stacks._topological_sort

    async def delete_with_order(stack_name: str, *arguments: Any, **options: Any) -> None:
        token = _deleting.set(cloudformation._stacks.get(stack_name))
        try:
            await delete(stack_name, *arguments, **options)
        finally:
            _deleting.reset(token)

    def sort_for_deletion(definitions: dict[str, Any], conditions: Any) -> list[str]:
        ordered: list[str] = sort(definitions, conditions)
        stack = _deleting.get()
        return ordered if stack is None else _DeletionOrder(ordered, definitions, stack)

    replace_everywhere(cloudformation, delete, delete_with_order)
    # Only in this module: the deletion looks the function up here.
    stacks._topological_sort = sort_for_deletion


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
