"""Names of the components of an app, which an account and region may hold only once."""

from __future__ import annotations

import hashlib
import json
from weakref import WeakKeyDictionary

from aws_cdk import Stack, Token
from constructs import Construct, IConstruct

from adapter_fleet.names import check_component_name

_HASH_LENGTH = 8

# By app: the construct that has a name, by where it is deployed and the name.
_taken: WeakKeyDictionary[IConstruct, dict[tuple[str, str], str]] = WeakKeyDictionary()


def immutable_hash(*immutable: str) -> str:
    """Return a short hash of what SageMaker cannot change about a component once it is there.

    In a component's name and logical id it makes CloudFormation replace the component when one of these
    changes: the resource type declares no property of which a change means that.
    """
    return hashlib.sha256(json.dumps(immutable).encode()).hexdigest()[:_HASH_LENGTH]


def claim(scope: Construct, name: str) -> None:
    """Check a component's name and note it as that of `scope`; raise ValueError if it is another's."""
    if Token.is_unresolved(name):
        return
    check_component_name(name)
    stack = Stack.of(scope)
    # Stacks whose account or region is known at deployment only may well go to different ones.
    unknown = Token.is_unresolved(stack.account) or Token.is_unresolved(stack.region)
    place = stack.node.addr if unknown else stack.environment
    path = _taken.setdefault(scope.node.root, {}).setdefault((place, name), scope.node.path)
    if path != scope.node.path:
        raise ValueError(
            f"each component should have a name of its own, got {name!r} for '{path}' and '{scope.node.path}'"
        )
