"""A stack can be deleted while it is being created.

Fault of ministack: it deletes resources while it creates others, and the deletion fails. CloudFormation
starts no other resource ("Resource creation cancelled") and deletes the existing ones [T]. Here, creations in
progress end first [I; AWS cancels some of them]. A stack that is being updated cannot be deleted [T, "cannot
be deleted while in status"]. A second deletion joins the first [I].
"""

import functools
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import handlers, stacks

from local_sagemaker.ministack_patches.internals import expect_names, replace_everywhere, replaces

_CANCELLED = "Resource creation cancelled"


def install() -> None:
    """Stop a deployment early when its stack is to be deleted, and delete the stack then.

    Install it after `install_failed_deletions` and `cloudformation_parallel_creation`, which replace the
    same functions.
    """
    expect_names(
        stacks, "_deploy_stack_async", "_delete_stack_async", "_roll_back_operation", "_resolve_refs"
    )
    expect_names(cloudformation, "_stacks")
    expect_names(handlers, "_resolve_stack")
    operations = _Operations(
        stacks._deploy_stack_async,
        stacks._delete_stack_async,
        stacks._roll_back_operation,
        stacks._resolve_refs,
    )

    @replaces(handlers._ACTION_HANDLERS, "DeleteStack")
    def refuse_during_update(request_deletion: Any, request: dict[str, Any]) -> Any:
        stack = handlers._resolve_stack(handlers._p(request, "StackName")) or {}
        status = stack.get("StackStatus", "")
        if status.startswith("UPDATE_") and status.endswith("_IN_PROGRESS"):
            message = f"Stack [{stack['StackId']}] cannot be deleted while in status {status}"
            return handlers._error("ValidationError", message)
        return request_deletion(request)

    replace_everywhere(cloudformation, stacks._deploy_stack_async, operations.deploy)
    replace_everywhere(cloudformation, stacks._delete_stack_async, operations.delete)
    replace_everywhere(cloudformation, stacks._roll_back_operation, operations.roll_back)
    # Only in this module: a deployment calls it here for each resource, just before it creates the resource.
    stacks._resolve_refs = operations.resolve


class _Operations:
    """The operations in progress, by the ids of their stacks."""

    def __init__(self, deploy: Any, delete: Any, roll_back: Any, resolve: Any):
        self._deploy = deploy
        self._delete = delete
        self._roll_back = roll_back
        self._resolve = resolve
        self._deploying: set[str] = set()
        self._rolling_back: set[str] = set()
        self._deleting: set[str] = set()
        # The deletions that wait for the end of a deployment.
        self._waiting: dict[str, Any] = {}

    async def deploy(
        self, name: str, stack_id: str, template: dict[str, Any], parameters: Any, *how: Any, **more: Any
    ) -> None:
        """Deploy a stack, then delete it if its deletion was requested meanwhile."""
        self._deploying.add(stack_id)
        try:
            await self._deploy(name, stack_id, template, parameters, *how, **more)
        finally:
            self._deploying.discard(stack_id)
            delete = self._waiting.pop(stack_id, None)
            if delete is not None:
                # Only a successful deployment stores the template. The deletion needs its DeletionPolicies.
                cloudformation._stacks[name] |= {"_template": template, "_resolved_params": parameters}
                # No other request runs in between, so none sees the final status of the deployment.
                await delete()

    async def delete(self, name: str, stack_id: str, *how: Any, **more: Any) -> None:
        """Delete a stack once, after its deployment if one is in progress."""
        if stack_id in self._deleting:
            return
        self._deleting.add(stack_id)
        if stack_id in self._deploying:
            self._waiting[stack_id] = functools.partial(self._delete_now, name, stack_id, *how, **more)
            cloudformation._stacks[name]["StackStatus"] = "DELETE_IN_PROGRESS"
        else:
            await self._delete_now(name, stack_id, *how, **more)

    async def _delete_now(self, name: str, stack_id: str, *how: Any, **more: Any) -> None:
        try:
            await self._delete(name, stack_id, *how, **more)
        finally:
            self._deleting.discard(stack_id)

    async def roll_back(self, name: str, stack_id: str, *how: Any, **more: Any) -> None:
        """Roll back a failed deployment, unless its stack is to be deleted."""
        if stack_id in self._waiting:
            return
        self._rolling_back.add(stack_id)
        try:
            await self._roll_back(name, stack_id, *how, **more)
        finally:
            self._rolling_back.discard(stack_id)

    def resolve(self, *arguments: Any) -> Any:
        """Resolve the properties of a resource; ValueError if its stack is to be deleted."""
        stack_id = arguments[-1]
        if stack_id in self._waiting and stack_id not in self._rolling_back:
            raise ValueError(_CANCELLED)
        return self._resolve(*arguments)
