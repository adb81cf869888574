"""The stack, account and region that a construct is deployed to."""

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

from aws_cdk import IResource, Stack
from constructs import Construct, IConstruct

from adapter_fleet.common.validators import TOKEN

# Each question takes the CDK a while, and hundreds of adapters in a stack have the same answer.
_stacks: WeakKeyDictionary[IConstruct, Stack] = WeakKeyDictionary()
_nesting: WeakKeyDictionary[Stack, Sequence[Stack]] = WeakKeyDictionary()
_partitions: WeakKeyDictionary[Stack, str] = WeakKeyDictionary()
_environments: WeakKeyDictionary[Stack, tuple[str, str]] = WeakKeyDictionary()


def stack_of(scope: IConstruct) -> Stack:
    """Return the stack that a construct is in."""
    if scope not in _stacks:
        _stacks[scope] = Stack.of(scope)
    return _stacks[scope]


def partition_of(scope: IConstruct) -> str:
    """Return the AWS partition that a construct is deployed to; may be a token."""
    stack = stack_of(scope)
    if stack not in _partitions:
        _partitions[stack] = stack.partition
    return _partitions[stack]


def account_and_region(stack: Stack) -> tuple[str, str]:
    """Return the account and the region of a stack; each may be a token."""
    if stack not in _environments:
        _environments[stack] = stack.account, stack.region
    return _environments[stack]


def stacks_of(scope: IConstruct) -> Sequence[Stack]:
    """Return the stack that a construct is in, then the stack that this one is nested in, and so on."""
    stack = stack_of(scope)
    if stack not in _nesting:
        parent = stack.nested_stack_parent
        _nesting[stack] = [stack] if parent is None else [stack, *stacks_of(parent)]
    return _nesting[stack]


def top_level_stack(scope: IConstruct) -> Stack:
    """Return the stack that is deployed with `scope` in it. For a nested stack, that is its parent."""
    return stacks_of(scope)[-1]


def deployed_together(one: IConstruct, other: IConstruct) -> bool:
    """Return whether both are in the same deployed stack, so neither needs an export of the other."""
    return top_level_stack(one) is top_level_stack(other)


def elsewhere(scope: IConstruct, resource: IResource) -> Mapping[str, tuple[str, str]]:
    """Return the account and the region of a construct and a resource, as far as they are known to differ."""
    return _differences(account_and_region(stack_of(scope)), (resource.env.account, resource.env.region))


def check_same_environment(scope: Construct, endpoint: IConstruct) -> None:
    """Raise ValueError if an endpoint is known to be in another account or region than what runs on it."""
    own, other = (account_and_region(top_level_stack(each)) for each in (scope, endpoint))
    for what, (here, there) in _differences(own, other).items():
        raise ValueError(
            f"'endpoint' should be in the {what} {here}, as what runs on it, got"
            f" '{endpoint.node.path}' in {there}"
        )


def _differences(own: tuple[str, str], other: tuple[str, str]) -> dict[str, tuple[str, str]]:
    """Return what differs between two accounts and regions. A token may stand for the same one."""
    pairs = zip(("account", "region"), own, other, strict=True)
    return {
        what: (here, there)
        for what, here, there in pairs
        if here != there and TOKEN not in here and TOKEN not in there
    }
