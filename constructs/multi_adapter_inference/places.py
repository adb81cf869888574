"""Where parts of an app are deployed."""

from aws_cdk import Stack, Token
from constructs import Construct


def top_level_stack(scope: Construct) -> Stack:
    """Return the stack that is deployed with `scope` in it: of a nested stack, the one around it."""
    stack = Stack.of(scope)
    while (parent := stack.nested_stack_parent) is not None:
        stack = parent
    return stack


def deployed_together(one: Construct, other: Construct) -> bool:
    """Tell whether one deployment of one stack brings both, so that neither needs an export of the other."""
    return top_level_stack(one) is top_level_stack(other)


def check_same_environment(scope: Construct, endpoint: Construct) -> None:
    """Raise ValueError where an endpoint is known to be in another account or region than what runs on it."""
    own, its = top_level_stack(scope), top_level_stack(endpoint)
    for what, here, there in (
        ("account", own.account, its.account),
        ("region", own.region, its.region),
    ):
        if here != there and not Token.is_unresolved(here) and not Token.is_unresolved(there):
            raise ValueError(
                f"'endpoint' should be in the {what} {here}, where its adapters are to be, got"
                f" '{endpoint.node.path}' in {there}"
            )
