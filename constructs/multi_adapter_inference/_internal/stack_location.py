"""Where parts of an app are deployed."""

from weakref import WeakKeyDictionary

from aws_cdk import Stack, Token
from constructs import Construct, IConstruct

# Each question takes the CDK a while, and hundreds of adapters in a stack have the same answers.
_stacks: WeakKeyDictionary[IConstruct, Stack] = WeakKeyDictionary()
_stacks_around: WeakKeyDictionary[Stack, Stack] = WeakKeyDictionary()
_environments: WeakKeyDictionary[Stack, tuple[str, str]] = WeakKeyDictionary()


def stack_of(scope: IConstruct) -> Stack:
    """Return the stack that a construct is in."""
    if scope not in _stacks:
        _stacks[scope] = Stack.of(scope)
    return _stacks[scope]


def top_level_stack(scope: IConstruct) -> Stack:
    """Return the stack that is deployed with `scope` in it: of a nested stack, the one around it."""
    stack = stack_of(scope)
    if stack not in _stacks_around:
        around = stack.nested_stack_parent
        _stacks_around[stack] = stack if around is None else top_level_stack(around)
    return _stacks_around[stack]


def deployed_together(one: IConstruct, other: IConstruct) -> bool:
    """Tell whether one deployment of one stack brings both, so that neither needs an export of the other."""
    return top_level_stack(one) is top_level_stack(other)


def check_same_environment(scope: Construct, endpoint: IConstruct) -> None:
    """Raise ValueError where an endpoint is known to be in another account or region than what runs on it."""
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
