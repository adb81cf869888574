"""What a resource that could not be deleted depends on stays, as on AWS.

[I, as a forced deletion "retains dependencies" of such resources, too.] ministack goes on with them: with the
table that a custom resource needs to be deleted at the next try.
"""

import ast
import inspect
import textwrap

from ministack.services import cloudformation
from ministack.services.cloudformation import stacks

from local_sagemaker.mends import expect, replace_everywhere

_FUNCTION = "_delete_stack_async"
_FAILED = "delete_failures.append(logical_id)"


def install() -> None:
    """Have the loop that deletes a stack's resources leave out what a failed one depends on."""
    for name in (_FUNCTION, "_with_dependencies"):
        expect(hasattr(stacks, name), f"stacks.{name} exists")
    deletes = getattr(stacks, _FUNCTION)
    tree = ast.parse(textwrap.dedent(inspect.getsource(deletes)))
    _keep_dependencies(tree)
    exec(compile(tree, f"{stacks.__file__} (failed deletions)", "exec"), stacks.__dict__)
    replace_everywhere(cloudformation, deletes, getattr(stacks, _FUNCTION))


def _keep_dependencies(tree: ast.Module) -> None:
    (function,) = tree.body
    assert isinstance(function, ast.AsyncFunctionDef)  # for the type checker
    loops = [
        statement
        for statement in function.body
        if isinstance(statement, ast.For) and ast.unparse(statement.iter) == "reversed(ordered)"
    ]
    expect(len(loops) == 1, f"{_FUNCTION} deletes in one loop over 'reversed(ordered)'")
    (loop,) = loops
    handlers = [
        handler
        for statement in loop.body
        if isinstance(statement, ast.Try)
        for handler in statement.handlers
        if ast.unparse(handler.body[-1]) == _FAILED
    ]
    expect(len(handlers) == 1, f"a deletion that fails ends with '{_FAILED}'")
    handlers[0].body += ast.parse("kept |= _with_dependencies([logical_id], res_defs, set(resources))").body
    loop.body[:0] = ast.parse("if logical_id in kept:\n    continue").body
    function.body[function.body.index(loop) : function.body.index(loop)] = ast.parse("kept = set()").body
    ast.fix_missing_locations(tree)
