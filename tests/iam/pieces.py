"""What policies allow, in pieces that are the same in a template and in what it deployed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tests.iam import reference


class Piece(NamedTuple):
    """One action of a statement on one kind of resource.

    on:
        The resource type, with `*` if the policy names more than one, and the condition keys.
    """

    action: str
    on: str

    def __str__(self) -> str:
        return f"{self.action} on {self.on}"


def pieces_of(statement: Mapping[str, Any], resources: Iterable[str]) -> set[Piece]:
    """Return the pieces of a statement whose resources are these."""
    return {
        piece
        for action in as_list(statement["Action"])
        for resource in resources
        if (piece := piece_of(action, resource, statement.get("Condition") or {})) is not None
    }


def piece_of(action: str, resource: str, conditions: Mapping[str, Mapping[str, Any]]) -> Piece | None:
    """Return an action on a resource; None if the action takes no such resource."""
    type_ = type_of(action, resource)
    if type_ is None:
        return None
    several = "*" if "*" in resource and resource != "*" else ""
    keys = sorted(f"{operator} {key}" for operator, of in conditions.items() for key in of)
    return Piece(action, f"{type_}{several}" + (f" if {' and '.join(keys)}" if keys else ""))


def type_of(action: str, resource: str) -> str | None:
    """Return the type of a resource for an action, which may have wildcards."""
    found = (one.type_of(resource) for one in reference.actions(action))
    return next((type_ for type_ in found if type_ is not None), None)


_KINDS: Sequence[tuple[str, str, str]] = (
    ("provider.Event", "ProviderEventRole", "Logs"),
    ("provider.Complete", "ProviderCompleteRole", "Logs"),
    ("provider.Waiter", "[Pp]rovider/?waiter-?state-?machine", ""),
    *((f"fleet.{name}", f"{name}Role", "Fleet") for name in ("RunPass", "IsComplete", "ManifestObject")),
    ("fleet.CountUsage", "CountUsageRole", "Usage"),
    ("fleet.OnEvent", "OnEventRole", "Fleet"),
    ("copies.OnEvent", "OnEventRole", "Copies"),
    ("fleet.Machine", "MachineRole", ""),
    ("fleet.Events", "EventsRole", ""),
    ("notifications", "BucketNotificationsHandler", ""),
    ("containers", "(Llm|Shared)(/Default|/?Execution)?/?Role", ""),
    *((f"caller.{name}", name, "") for name in ("Caller", "Invoker", "Reader", "Manager")),
)
"""The kinds of roles and users: a pattern of their names, and the beginning of the name of a policy."""


def kind_of(name: str, policies: Iterable[str]) -> str | None:
    """Return the kind of a role or user by its name, a path or what CloudFormation made of it."""
    for kind, pattern, policy in _KINDS:
        if re.search(pattern, name) and (not policy or any(policy in one for one in policies)):
            return kind
    return None


def kinds() -> Sequence[str]:
    """Return every kind of role."""
    return [kind for kind, _, _ in _KINDS]


def as_list(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value
