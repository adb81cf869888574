"""The names of an app's components, which are unique in an account and region."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from weakref import WeakKeyDictionary

from aws_cdk import Annotations, CfnResource, Stack
from constructs import Construct, IConstruct

from adapter_fleet.common.naming import check_component_name
from adapter_fleet.common.validators import TOKEN
from multi_adapter_inference.arguments.errors import error_context, shown_path
from multi_adapter_inference.template.stack_location import account_and_region, stack_of, top_level_stack

_HASH_LENGTH = 8
_MAIN = "Default"
_TOKENS = re.compile(rf"{re.escape(TOKEN)}.*?\]\}}")
_PLACEHOLDER = "p"
"""Stands for each token of a name, so that the rest of the name can be checked."""

_Owners = dict[str, Construct]  # by component name, by prefix and manifest, or by a fleet's identifier

# By app and environment, and the same by stack: to look up a stack's environment takes the CDK a while.
_owners_by_environment: WeakKeyDictionary[IConstruct, dict[str, _Owners]] = WeakKeyDictionary()
_owners_by_stack: WeakKeyDictionary[Stack, tuple[_Owners, bool]] = WeakKeyDictionary()


def immutable_hash(scope: Construct, *immutable: str) -> str:
    """Return a short hash of what SageMaker cannot change about an existing component."""
    hashed = list(immutable)
    # Resolved, as the text of a token differs between apps.
    if any(TOKEN in part for part in hashed):
        hashed = stack_of(scope).resolve(hashed)
    return hashlib.sha256(json.dumps(hashed).encode()).hexdigest()[:_HASH_LENGTH]


def replace_on_change(scope: Construct, resource: CfnResource, *immutable: str) -> None:
    """Make CloudFormation replace a component of `scope` when one of these changes, by another logical id.

    The resource type declares that no property needs a replacement, so CloudFormation would send an update
    that SageMaker refuses.
    """
    logical_id = stack_of(scope).get_logical_id(resource)
    resource.override_logical_id(f"{logical_id}{immutable_hash(scope, *immutable)}")


def warn_of_fixed_names(scope: Construct, **settings: str | None) -> None:
    """Add to `scope` a warning for each setting whose value may change at the next deployment.

    It is no error: a parameter that nobody changes does no harm, and some values of a deployment, such as the
    stack's name, never change.
    """
    for setting, value in settings.items():
        if value is not None and TOKEN in value and (source := _changing(stack_of(scope).resolve(value))):
            Annotations.of(scope).add_warning_v2(
                f"multi-adapter-inference:{setting.replace('_', '-')}-cannot-change",
                f"'{setting}' comes from {source}, whose value may change, while no name that is made of it"
                " can: SageMaker does not rename a component, and CloudFormation replaces one only when the"
                " template changes; a deployment with another value fails. Give a value that is known at"
                " synth, or never change it",
            )


def _changing(resolved: object) -> str | None:
    """Return the part of a value that may change between deployments of the same template."""
    match resolved:
        case str(text):
            return "a dynamic reference" if "{{resolve:" in text else None
        case list(parts):
            return next(filter(None, map(_changing, parts)), None)
        case {"Ref": str(name)}:
            return None if name.startswith("AWS::") else f"'{name}'"
        case {"Fn::Join": parts} | {"Fn::Select": parts} | {"Fn::Split": parts}:
            return _changing(parts)
        case dict():
            (intrinsic, arguments), *_ = resolved.items()
            return f"{intrinsic} {json.dumps(arguments)}"
        case _:
            return None


def check_child_id(scope: Construct, id: str, what: str, own: Collection[str]) -> None:
    """Raise ValueError unless a new child of `scope` may have that id. `own` has the ids of its own parts.

    Logical ids leave out a construct with the id `Default`, so its children and those of its parent need
    different ids.
    """
    with error_context(scope):
        if id in own:
            raise ValueError(
                f"'id' of {what} should be none of {', '.join(sorted(own))}, which"
                f" '{shown_path(scope)}' keeps for its own parts, got {id!r}"
            )
        main = scope.node.try_find_child(_MAIN) if scope.node.id != _MAIN else scope.node.scope
        for parent in filter(None, (scope, main)):
            if (taken := parent.node.try_find_child(id)) is not None:
                raise ValueError(
                    f"{what} should have an id of its own, got {id!r} for '{taken.node.path}' and for another"
                    " one"
                )


def claim_name(scope: Construct, name: str, *, endpoint: IConstruct, made_of: Mapping[str, str]) -> None:
    """Check a component's name and record it for `scope`. Raises ValueError if another construct has it.

    `made_of` has the user's settings that the name is made of.
    """
    with error_context(scope):
        check_name(name, made_of)
    if TOKEN not in name:
        claim_checked(scope, [name], endpoint=endpoint, setting=next(iter(made_of)))


def claim_checked(
    scope: Construct, names: Iterable[str], *, endpoint: IConstruct, setting: str = "component_prefix"
) -> None:
    """Record the names of components for `scope`, as `claim_name` does. They are checked already."""
    environments = _environments(scope, endpoint)
    for name in names:
        # ARNs are in lower case, so names that differ only in case are the same.
        if owner := _other_owner(scope, environments, name.lower()):
            raise ValueError(
                f"each component should have a name of its own, got {name!r} for '{owner.node.path}' and"
                f" '{scope.node.path}'; another {setting!r} gives other names"
            )


def claim_manifest(
    scope: Construct, *, endpoint: IConstruct, prefix: str, bucket_name: str, key: str
) -> None:
    """Record a manifest in S3 for `scope`. Raises ValueError if a fleet of the same prefix has it.

    Synth does not know its components, but both fleets would want the same ones.
    """
    # With a slash, the text cannot be the name of a component.
    text = f"{prefix.lower()}/{bucket_name}/{key}"
    if owner := _other_owner(scope, _environments(scope, endpoint), text):
        raise ValueError(
            f"each fleet should have a manifest or a 'component_prefix' of its own, got the manifest {key!r}"
            f" and the prefix {prefix!r} for '{owner.node.path}' and '{scope.node.path}'"
        )


def claim_fleet_uid(scope: Construct, uid: str, *, endpoint: IConstruct) -> None:
    """Record the identifier of a fleet for `scope`. Raises ValueError if another fleet has it."""
    if owner := _other_owner(scope, _environments(scope, endpoint), f"fleet-uid/{uid}"):
        raise ValueError(
            f"each fleet should have a 'fleet_uid' of its own, got {uid!r} for '{owner.node.path}' and"
            f" '{scope.node.path}'"
        )


def check_name(name: str, made_of: Mapping[str, str]) -> None:
    """Raise ValueError unless a component may have that name. What a token stands for is not checked."""
    try:
        check_component_name(_TOKENS.sub(_PLACEHOLDER, name))
    except ValueError as error:
        settings = " and ".join(
            f"'{setting}' {_TOKENS.sub('<token>', value)!r}" for setting, value in made_of.items()
        )
        where = f", with {_PLACEHOLDER!r} for each token" if TOKEN in name else ""
        raise ValueError(f"{error}{where}, made of {settings}") from None


def _other_owner(scope: Construct, environments: Sequence[_Owners], text: str) -> Construct | None:
    """Record a text for `scope` in every environment. Return the construct that has it already in one."""
    owners = (owners.setdefault(text, scope) for owners in environments)
    return next((owner for owner in owners if owner is not scope), None)


def _environments(scope: Construct, endpoint: IConstruct) -> Sequence[_Owners]:
    """Return the owners in the environment of `scope`, which is also the environment of its endpoint."""
    own, known = _owners(top_level_stack(scope))
    return [own] if known else [own, _owners(top_level_stack(endpoint))[0]]


def _owners(stack: Stack) -> tuple[_Owners, bool]:
    """Return the owners in the environment of a stack, and whether that environment is known."""
    if stack not in _owners_by_stack:
        # Two stacks whose account or region is a token may be deployed to different ones.
        unknown = any(TOKEN in name for name in account_and_region(stack))
        node = stack.node
        environment = node.addr if unknown else stack.environment
        owners = _owners_by_environment.setdefault(node.root, {}).setdefault(environment, {})
        _owners_by_stack[stack] = owners, not unknown
    return _owners_by_stack[stack]
