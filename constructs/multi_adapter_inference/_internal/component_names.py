"""Names of the components of an app, which an account and region may hold only once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakKeyDictionary

from aws_cdk import Annotations, CfnResource, Stack, Token
from constructs import Construct, IConstruct

from adapter_fleet.common.naming import check_component_name
from adapter_fleet.common.validators import TOKEN
from multi_adapter_inference._internal.errors import error_context
from multi_adapter_inference._internal.stack_location import stack_of, top_level_stack

_HASH_LENGTH = 8

_Owners = dict[str, Construct]  # by component name, by prefix and manifest, or by a fleet's identifier

# By app and place of deployment, and the same by stack: looking a stack's place up takes the CDK a while.
_owners_by_place: WeakKeyDictionary[IConstruct, dict[str, _Owners]] = WeakKeyDictionary()
_owners_by_stack: WeakKeyDictionary[Stack, tuple[_Owners, bool]] = WeakKeyDictionary()


def immutable_hash(scope: Construct, *immutable: str) -> str:
    """Return a short hash of what SageMaker cannot change about a component once it is there."""
    hashed = list(immutable)
    # Resolved, as the text of a token is another in every app.
    if any(TOKEN in part for part in hashed):
        hashed = stack_of(scope).resolve(hashed)
    return hashlib.sha256(json.dumps(hashed).encode()).hexdigest()[:_HASH_LENGTH]


def replace_on_change(scope: Construct, resource: CfnResource, *immutable: str) -> None:
    """Make CloudFormation replace a component of `scope` when one of these changes, by another logical id.

    The resource type declares no property whose change means that, and would send what SageMaker refuses.
    """
    logical_id = stack_of(scope).get_logical_id(resource)
    resource.override_logical_id(f"{logical_id}{immutable_hash(scope, *immutable)}")


def warn_of_fixed_names(scope: Construct, **settings: str | None) -> None:
    """Add to `scope` a warning for each setting whose value may be another at the next deployment.

    A warning, and no error: a parameter that nobody changes does no harm, and some values of a deployment
    never change, such as the stack's name.
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
    """Return what makes a value one that may change between deployments of the same template."""
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


def claim_name(scope: Construct, name: str, *, endpoint: IConstruct, made_of: Mapping[str, str]) -> None:
    """Check a component's name and note it as that of `scope`; raise ValueError if it is another's.

    `made_of` are the settings that the user gave and the name is made of.
    """
    if TOKEN in name:
        return
    with error_context(scope):
        _check(name, made_of)
    claim_checked(scope, [name], endpoint=endpoint)


def claim_checked(scope: Construct, names: Iterable[str], *, endpoint: IConstruct) -> None:
    """Note the names of components as those of `scope`, as `claim_name` does; they are checked already."""
    places = _places(scope, endpoint)
    for name in names:
        # ARNs are in lower case, so case alone makes no other name.
        if owner := _other_owner(scope, places, name.lower()):
            raise ValueError(
                f"each component should have a name of its own, got {name!r} for '{owner.node.path}' and"
                f" '{scope.node.path}'"
            )


def claim_manifest(
    scope: Construct, *, endpoint: IConstruct, prefix: str, bucket_name: str, key: str
) -> None:
    """Note a manifest in S3 as that of `scope`; raise ValueError if a fleet of the same prefix has it.

    Which components it will name is not known, but both would want the same.
    """
    # No name of a component has a slash.
    thing = f"{prefix.lower()}/{bucket_name}/{key}"
    if owner := _other_owner(scope, _places(scope, endpoint), thing):
        raise ValueError(
            f"each fleet should have a manifest or a 'component_prefix' of its own, got the manifest {key!r}"
            f" and the prefix {prefix!r} for '{owner.node.path}' and '{scope.node.path}'"
        )


def claim_fleet_uid(scope: Construct, uid: str, *, endpoint: IConstruct) -> None:
    """Note the identifier of a fleet as that of `scope`; raise ValueError if it is another's."""
    if owner := _other_owner(scope, _places(scope, endpoint), f"fleet-uid/{uid}"):
        raise ValueError(
            f"each fleet should have a 'fleet_uid' of its own, got {uid!r} for '{owner.node.path}' and"
            f" '{scope.node.path}'"
        )


def _check(name: str, made_of: Mapping[str, str]) -> None:
    try:
        check_component_name(name)
    except ValueError as error:
        settings = " and ".join(f"'{setting}' {value!r}" for setting, value in made_of.items())
        raise ValueError(f"{error}, made of {settings}") from None


def _other_owner(scope: Construct, places: Sequence[_Owners], thing: str) -> Construct | None:
    """Note a thing as that of `scope` at all places; return who has it already at one of them."""
    owners = (owners.setdefault(thing, scope) for owners in places)
    return next((owner for owner in owners if owner is not scope), None)


def _places(scope: Construct, endpoint: IConstruct) -> Sequence[_Owners]:
    """Return who owns what where `scope` is deployed, which is where its endpoint is, too."""
    own, known = _owners(top_level_stack(scope))
    return [own] if known else [own, _owners(top_level_stack(endpoint))[0]]


def _owners(stack: Stack) -> tuple[_Owners, bool]:
    """Return who owns what where a stack is deployed, and whether it is known where that is."""
    if stack not in _owners_by_stack:
        # Stacks whose account or region is known at deployment only may well go to different ones.
        unknown = Token.is_unresolved(stack.account) or Token.is_unresolved(stack.region)
        place = stack.node.addr if unknown else stack.environment
        owners = _owners_by_place.setdefault(stack.node.root, {}).setdefault(place, {})
        _owners_by_stack[stack] = owners, not unknown
    return _owners_by_stack[stack]
