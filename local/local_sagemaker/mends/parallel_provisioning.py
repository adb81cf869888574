"""CloudFormation provisions in parallel what does not depend on each other, as on AWS.

ministack provisions the resources of a stack in one loop of `_deploy_stack_async`. The body of that loop is
made a function here that is called for each resource as soon as what it depends on is there. Only types whose
handlers run on threads (custom resources, nested stacks, SageMaker) really overlap.

What runs when another resource fails is seen through, and undone in the rollback like what was done before;
AWS cancels some of it. Nothing that has not begun begins.
"""

import ast
import asyncio
import inspect
import textwrap
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.core.responses import now_iso
from ministack.services import cloudformation
from ministack.services.cloudformation import engine, stacks

from local_sagemaker.mends import expect, replace_everywhere

_FUNCTION = "_deploy_stack_async"
# What the loop changes and the rest of the function reads.
_OUTCOME = ("failed", "fail_reason", "cancelled", "failed_update", "failed_logical_id")

Provision = Callable[[str], Awaitable[None]]


def install() -> None:
    """Put the parallel function in the place of the sequential one, wherever that was imported to."""
    expect(hasattr(stacks, _FUNCTION), f"stacks.{_FUNCTION} provisions a stack")
    sequential = getattr(stacks, _FUNCTION)
    tree = ast.parse(textwrap.dedent(inspect.getsource(sequential)))
    _make_parallel(tree)
    stacks._in_dependency_order = _in_dependency_order
    stacks._one_failure = _one_failure
    exec(compile(tree, f"{stacks.__file__} (parallel)", "exec"), stacks.__dict__)
    replace_everywhere(cloudformation, sequential, getattr(stacks, _FUNCTION))


def _make_parallel(tree: ast.Module) -> None:
    (function,) = tree.body
    expect(isinstance(function, ast.AsyncFunctionDef), f"{_FUNCTION} is a coroutine function")
    assert isinstance(function, ast.AsyncFunctionDef)  # for the type checker
    loops = [
        (index, statement)
        for index, statement in enumerate(function.body)
        if isinstance(statement, ast.For) and ast.unparse(statement.iter) == "ordered"
    ]
    expect(len(loops) == 1, f"{_FUNCTION} provisions in one loop over 'ordered'")
    ((index, loop),) = loops
    body = [_LoopBody().visit(statement) for statement in loop.body]
    expect(ast.unparse(loop.target) == "logical_id", "the loop's variable is 'logical_id'")
    assigned = {
        node.id
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    expect(set(_OUTCOME) <= assigned, f"the loop's outcome is {', '.join(_OUTCOME)}")
    frame = ast.parse(
        f"async def provision(logical_id):\n"
        f"    nonlocal {', '.join(_OUTCOME)}\n"
        f"    if failed:\n"
        f"        return\n"
        f"await _in_dependency_order(ordered, resources_defs, provision, stack)\n"
    ).body
    provision = frame[0]
    assert isinstance(provision, ast.AsyncFunctionDef)  # as it is written above
    provision.body += body
    function.body[index : index + 1] = frame
    ast.fix_missing_locations(tree)


class _LoopBody(ast.NodeTransformer):
    """The body of the loop as the body of a function; loops and functions in it are left as they are."""

    def visit_For(self, node: ast.For) -> ast.AST:
        return node

    def visit_While(self, node: ast.While) -> ast.AST:
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_Break(self, _: ast.Break) -> ast.AST:
        return ast.Return()

    def visit_Continue(self, _: ast.Continue) -> ast.AST:
        return ast.Return()

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        # There is a place for one failed update alone.
        if ast.unparse(node.targets[0]) == "failed_update" and "update_attempt" in ast.unparse(node.value):
            call = (
                "_one_failure(failed_update, 0, resolved_props, provisioned_resources, created_in_this_run)"
            )
            value = ast.parse(call, mode="eval").body
            assert isinstance(value, ast.Call)  # as it is written above
            value.args[1] = node.value
            node.value = value
        return node


async def _in_dependency_order(
    ordered: list[str], definitions: dict[str, Any], provision: Provision, stack: dict[str, Any]
) -> None:
    """Provision each resource once all that it depends on are; `ordered` has these before it."""
    active = set(ordered)
    tasks: dict[str, asyncio.Task[None]] = {}
    cancel_token: str | None = None

    async def provision_after(needed: list[asyncio.Task[None]], logical_id: str) -> None:
        nonlocal cancel_token
        await asyncio.gather(*needed)
        cancel_token = stack.get("_cancel_token", cancel_token)
        await provision(logical_id)

    for logical_id in ordered:
        needs = engine._extract_deps(definitions[logical_id], active) - {logical_id}
        needed = [tasks[other] for other in needs if other in tasks]
        tasks[logical_id] = asyncio.create_task(provision_after(needed, logical_id))
    await asyncio.gather(*tasks.values())
    if cancel_token is not None:
        # It was set in a task, which has a context of its own; the events of the rollback carry it.
        stacks.CLIENT_REQUEST_TOKEN.set(cancel_token)


def _one_failure(
    first: tuple[Any, ...] | None,
    failure: tuple[Any, ...],
    properties: Any,
    provisioned: dict[str, Any],
    done: list[str],
) -> tuple[Any, ...]:
    """The failed update that the rollback is told of: the first; any other looks to it like one done."""
    if first is None:
        return failure
    logical_id, resource_type, physical_id, _, _, attributes = failure
    provisioned[logical_id] = {
        "PhysicalResourceId": physical_id,
        "ResourceType": resource_type,
        "ResourceStatus": "UPDATE_FAILED",
        "LogicalResourceId": logical_id,
        "Properties": properties,
        "Attributes": attributes,
        "Timestamp": now_iso(),
    }
    done.append(logical_id)
    return first
