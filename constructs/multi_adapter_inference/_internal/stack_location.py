"""The stack, account and region that a construct is deployed to."""

from weakref import WeakKeyDictionary

from aws_cdk import Stack, Token
from constructs import Construct, IConstruct

# Each question takes the CDK a while, and hundreds of adapters in a stack have the same answer.
_stacks: WeakKeyDictionary[IConstruct, Stack] = WeakKeyDictionary()
_parents: WeakKeyDictionary[Stack, Stack] = WeakKeyDictionary()
_environments: WeakKeyDictionary[Stack, tuple[str, str]] = WeakKeyDictionary()


def stack_of(scope: IConstruct) -> Stack:
    """Return the stack that a construct is in."""
    if scope not in _stacks:
        _stacks[scope] = Stack.of(scope)
    return _stacks[scope]


def top_level_stack(scope: IConstruct) -> Stack:
    """Return the stack that is deployed with `scope` in it. For a nested stack, that is its parent."""
    stack = stack_of(scope)
    if stack not in _parents:
        parent = stack.nested_stack_parent
        _parents[stack] = stack if parent is None else top_level_stack(parent)
    return _parents[stack]


def deployed_together(one: IConstruct, other: IConstruct) -> bool:
    """Return whether both are in the same deployed stack, so neither needs an export of the other."""
    return top_level_stack(one) is top_level_stack(other)


def check_same_environment(scope: Construct, endpoint: IConstruct) -> None:
    """Raise ValueError if an endpoint is known to be in another account or region than its adapters."""
    own, its = _environment(top_level_stack(scope)), _environment(top_level_stack(endpoint))
    for what, here, there in zip(("account", "region"), own, its, strict=True):
        if here != there and not Token.is_unresolved(here) and not Token.is_unresolved(there):
            raise ValueError(
                f"'endpoint' should be in the {what} {here}, where its adapters are to be, got"
                f" '{endpoint.node.path}' in {there}"
            )


def _environment(stack: Stack) -> tuple[str, str]:
    if stack not in _environments:
        _environments[stack] = stack.account, stack.region
    return _environments[stack]
