"""Change sets include the resources that conditions add or remove, and changes of outputs.

Faults of ministack: it compares resources without their conditions, refuses a change set that changes only
outputs, and accepts one for a stack whose creation was rolled back. [V Conditions section of the user guide]
CloudFormation neither creates nor keeps a resource whose condition is false. [T, aws-cdk pull request 2029]
If only outputs change, the change set can be executed and lists no resource. [T, as users quote it] A stack
in ROLLBACK_COMPLETE can only be deleted.
"""

from typing import Any

from ministack.services.cloudformation import _stacks, changesets, engine, handlers

from local_sagemaker.ministack_patches.internals import expect_names, replaces

_EMPTY = "The submitted information didn't contain changes."
_COMPARE = "_resolve_props_for_diff"

_ONLY_DELETED = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED")

Template = dict[str, Any]
Parameters = dict[str, Any]


def install() -> None:
    """Compare only resources whose condition holds, and compare outputs too."""
    expect_names(changesets, _COMPARE, "_find_change_set")
    expect_names(engine, "_evaluate_conditions")
    resolve = getattr(changesets, _COMPARE)

    def resolve_active(template: Template, parameters: Parameters, *stack: str) -> Template:
        conditions = _conditions(template, parameters)
        resources: dict[str, Any] = resolve(template, parameters, *stack).get("Resources", {})
        return {
            "Resources": {
                name: resource
                for name, resource in resources.items()
                if conditions.get(resource.get("Condition"), True)
            }
        }

    def resolve_outputs(template: Template, parameters: Parameters, *stack: str) -> dict[str, Any]:
        # Outputs in the form of resources, so that ministack resolves conditions, references and mappings.
        as_resources = {
            name: {"Properties": output, "Condition": output.get("Condition")}
            for name, output in (template.get("Outputs") or {}).items()
        }
        resolved = resolve_active(template | {"Resources": as_resources}, parameters, *stack)
        outputs: dict[str, Any] = resolved["Resources"]
        return outputs

    @replaces(handlers._ACTION_HANDLERS, "CreateChangeSet")
    def create_with_outputs(create: Any, request: dict[str, Any]) -> Any:
        refusal = _refusal(request)
        if refusal is not None:
            return refusal
        answer = create(request)
        name, stack_name = (handlers._p(request, key) for key in ("ChangeSetName", "StackName"))
        _, created = changesets._find_change_set(name, _name_of(stack_name))
        if created is not None and answer[0] == 200 and _is_empty(created):
            stack = _stacks[created["StackName"]]
            identity = (created["StackName"], created["StackId"])
            before = resolve_outputs(
                stack.get("_template") or {}, stack.get("_resolved_params") or {}, *identity
            )
            after = resolve_outputs(created["_template"], created["_resolved_params"], *identity)
            if before != after:
                created |= {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE", "StatusReason": ""}
        return answer

    setattr(changesets, _COMPARE, resolve_active)


def _refusal(request: dict[str, Any]) -> Any:
    stack = _stacks.get(_name_of(handlers._p(request, "StackName")))
    if stack is None or handlers._p(request, "ChangeSetType", "UPDATE") != "UPDATE":
        return None
    status = stack["StackStatus"]
    if status not in _ONLY_DELETED:
        return None
    message = f"Stack:{stack['StackId']} is in {status} state and can not be updated."
    return handlers._error("ValidationError", message)


def _conditions(template: Template, parameters: Parameters) -> dict[Any, bool]:
    try:
        conditions: dict[Any, bool] = engine._evaluate_conditions(template, parameters)
    except Exception:  # ministack reports a wrong condition elsewhere
        return {}
    return conditions


def _name_of(stack: str) -> str:
    """The name of a stack, from its name or its ARN."""
    return stack.split("/")[1] if stack.startswith("arn:") else stack


def _is_empty(change_set: dict[str, Any]) -> bool:
    reason: str = change_set["StatusReason"]
    return change_set["ChangeSetType"] == "UPDATE" and reason.startswith(_EMPTY)
