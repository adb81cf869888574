"""An update that changes or removes an export that another stack imports fails.

Fault of ministack: it only checks imports before it deletes a stack, and keeps exports that an update
removed. On AWS: "Export EXPORT_NAME cannot be updated as it is in use by STACK_NAME" (AWS Knowledge Center,
cloudformation-stack-export-name-error), and the update is rolled back.
"""

from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import handlers, stacks

from local_sagemaker.ministack_patches.internals import expect

_FUNCTION = "_resolve_stack_outputs"
# Statuses of stacks without resources, which import nothing.
_EMPTY = ("REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "DELETE_COMPLETE")


def install() -> None:
    """Fail to resolve the outputs of a stack if they would break another stack."""
    expect(hasattr(stacks, _FUNCTION), f"stacks.{_FUNCTION} resolves the outputs of a deployment")
    expect(
        hasattr(handlers, "_imported_export_names"),
        "handlers._imported_export_names returns the imports of a stack",
    )
    for name in ("_exports", "_stacks"):
        expect(hasattr(cloudformation, name), f"cloudformation.{name} exists")
    resolve = getattr(stacks, _FUNCTION)

    def resolve_unless_in_use(*arguments: Any) -> Any:
        stack_name, stack_id = arguments[-2:]
        outputs, exports = resolve(*arguments)
        before = {
            name: export
            for name, export in cloudformation._exports.items()
            if export["StackId"] == stack_id and export != exports.get(name)
        }
        for name in before:
            change = "updated" if name in exports else "deleted"
            for user in _users(name, exporter=stack_name):
                raise ValueError(f"Export {name} cannot be {change} as it is in use by {user}")
        for name in before.keys() - exports.keys():
            del cloudformation._exports[name]
        return outputs, exports

    setattr(stacks, _FUNCTION, resolve_unless_in_use)


def _users(export: str, *, exporter: str) -> list[str]:
    return [
        name
        for name, stack in cloudformation._stacks.items()
        if name != exporter
        and stack.get("StackStatus") not in _EMPTY
        and export in handlers._imported_export_names(stack, name)
    ]
