"""A stack that is deleted while it is being created is gone as soon as what is under way has ended.

ministack deletes what is there while it creates the rest, and the deletion fails. CloudFormation begins no
other resource ("Resource creation cancelled") and deletes what there is [T]. Here, what is under way is seen
through [I; AWS cancels some of it]. A stack that is being updated is not deleted [T, "cannot be deleted while
in status"], and a second deletion joins the first [I].
"""

import functools
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import handlers, stacks

from local_sagemaker.ministack_patches.internals import expect, replace_everywhere

_ACTION = "DeleteStack"
_CANCELLED = "Resource creation cancelled"


def install() -> None:
    """Let a creation end early, and delete the stack where it ends.

    Install it after `failed_deletions` and `parallel_provisioning`, which compile the same functions.
    """
    for name in ("_deploy_stack_async", "_delete_stack_async", "_roll_back_operation", "_resolve_refs"):
        expect(hasattr(stacks, name), f"stacks.{name} exists")
    expect(_ACTION in handlers._ACTION_HANDLERS, f"handlers._ACTION_HANDLERS has {_ACTION}")
    request_deletion = handlers._ACTION_HANDLERS[_ACTION]
    operations = _Operations(
        stacks._deploy_stack_async,
        stacks._delete_stack_async,
        stacks._roll_back_operation,
        stacks._resolve_refs,
    )

    def refuse_during_update(request: dict[str, Any]) -> Any:
        stack = handlers._resolve_stack(handlers._p(request, "StackName")) or {}
        status = stack.get("StackStatus", "")
        if status.startswith("UPDATE_") and status.endswith("_IN_PROGRESS"):
            message = f"Stack [{stack['StackId']}] cannot be deleted while in status {status}"
            return handlers._error("ValidationError", message)
        return request_deletion(request)

    handlers._ACTION_HANDLERS[_ACTION] = refuse_during_update
    replace_everywhere(cloudformation, stacks._deploy_stack_async, operations.deploy)
    replace_everywhere(cloudformation, stacks._delete_stack_async, operations.delete)
    replace_everywhere(cloudformation, stacks._roll_back_operation, operations.roll_back)
    # In this module alone: provisioning asks it for each resource, just before the resource is created.
    stacks._resolve_refs = operations.resolve


class _Operations:
    """The operations on stacks that are under way, by the ids of the stacks."""

    def __init__(self, deploy: Any, delete: Any, roll_back: Any, resolve: Any):
        self._deploy = deploy
        self._delete = delete
        self._roll_back = roll_back
        self._resolve = resolve
        self._deploying: set[str] = set()
        self._rolling_back: set[str] = set()
        self._deleting: set[str] = set()
        # What deletes a stack when its deployment has ended.
        self._waiting: dict[str, Any] = {}

    async def deploy(
        self, name: str, stack_id: str, template: dict[str, Any], parameters: Any, *how: Any, **more: Any
    ) -> None:
        """Deploy a stack, and delete it at the end if that was asked for meanwhile."""
        self._deploying.add(stack_id)
        try:
            await self._deploy(name, stack_id, template, parameters, *how, **more)
        finally:
            self._deploying.discard(stack_id)
            delete = self._waiting.pop(stack_id, None)
            if delete is not None:
                # The stack has its template from a success on; here, it says what is to be retained.
                cloudformation._stacks[name] |= {"_template": template, "_resolved_params": parameters}
                # No other request runs in between, so none sees the status that the deployment ends with.
                await delete()

    async def delete(self, name: str, stack_id: str, *how: Any, **more: Any) -> None:
        """Delete a stack once, and only when it is not being deployed."""
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
        """Roll a failed deployment back, unless its stack is to be deleted."""
        if stack_id in self._waiting:
            return
        self._rolling_back.add(stack_id)
        try:
            await self._roll_back(name, stack_id, *how, **more)
        finally:
            self._rolling_back.discard(stack_id)

    def resolve(self, *arguments: Any) -> Any:
        """Resolve the properties of a resource; ValueError when its stack is to be deleted instead."""
        stack_id = arguments[-1]
        if stack_id in self._waiting and stack_id not in self._rolling_back:
            raise ValueError(_CANCELLED)
        return self._resolve(*arguments)
