"""Names: of inference components and archives, names that policies use, and the nearest known name."""

import difflib
import re
from collections.abc import Iterable

MAX_COMPONENT_NAME_LENGTH = 63

FLEET_TAG = "fleet-uid"
"""The tag with the uid of the fleet that owns a component."""

ADAPTER_TAG = "fleet-adapter"
"""The tag with the adapter's name, on every version of it."""
_VERSION_DIGITS = 8
VERSION_SUFFIX_LENGTH = len("-") + _VERSION_DIGITS
"""How much longer the name of a version's component is."""

ROUTES_PARTITION = "routes"
"""The partition with the routes of adapters, as passes and people write them."""
ORDERS_PARTITION = "orders"
"""The partition of a fleet's registry with the orders of people. Operators need to write no other."""
USAGE_PARTITION = "usage"
"""The partition with up to when use is counted. The function that counts it needs to write no other."""

_VERSION_SUFFIX = re.compile(rf"-[0-9a-f]{{{_VERSION_DIGITS}}}\Z", re.IGNORECASE)

# InferenceComponentName in the botocore service model of SageMaker. `$` would also match before a newline.
_COMPONENT_NAME = re.compile(r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?\Z")

_MAX_FLEET_UID_LENGTH = 128
_FLEET_UID = re.compile(rf"[a-zA-Z0-9\-]{{1,{_MAX_FLEET_UID_LENGTH}}}\Z")


def check_component_name(name: str, *, what: str = "component_name") -> None:
    """Raise ValueError, naming `what`, unless `name` is valid for an inference component."""
    if len(name) > MAX_COMPONENT_NAME_LENGTH:
        raise ValueError(
            f"'{what}' should have at most {MAX_COMPONENT_NAME_LENGTH} characters, got {len(name)}: {name!r}"
        )
    if not _COMPONENT_NAME.match(name):
        raise ValueError(
            f"'{what}' should be letters, digits and hyphens and begin and end with no hyphen, got {name!r}"
        )


def check_component_prefix(prefix: str) -> None:
    """Raise ValueError unless `<prefix>-<something>` can be valid for an inference component."""
    what = "component_prefix"
    longest = MAX_COMPONENT_NAME_LENGTH - len("-a")
    if len(prefix) > longest:
        raise ValueError(
            f"'{what}' should have at most {longest} characters, so that a name fits behind it, got"
            f" {len(prefix)}: {prefix!r}"
        )
    if not _COMPONENT_NAME.match(f"{prefix}-a"):
        raise ValueError(
            f"'{what}' should be letters, digits and hyphens and begin with no hyphen, got {prefix!r}"
        )


def check_fleet_uid(uid: object) -> None:
    """Raise ValueError unless `uid` is valid for a fleet. Tags and policies contain it."""
    if not isinstance(uid, str) or not _FLEET_UID.match(uid):
        raise ValueError(
            f"'fleet_uid' should be at most {_MAX_FLEET_UID_LENGTH} letters, digits and hyphens, got {uid!r}"
        )


def adapter_component(prefix: str, adapter: str) -> str:
    """Return the component name of an adapter, `<prefix>-<adapter>`, unchecked, so either may be a token."""
    return f"{prefix}-{adapter}"


def component_name(prefix: str, adapter: str) -> str:
    """Return the component name of an adapter, `<prefix>-<adapter>`.

    A name that is too long raises ValueError. It is never cut, as two cut names could be equal.
    """
    name = adapter_component(prefix, adapter)
    check_component_name(name)
    return name


def version_component(component: str, digest: str) -> str:
    """Return the name of a version's component: `<prefix>-<adapter>-<8 digits of its digest>`."""
    return f"{component}-{digest[:_VERSION_DIGITS]}"


def is_of_version(component: str, digest: str) -> bool:
    """Tell whether a component may be that of a version whose digest begins with these digits."""
    suffix = _VERSION_SUFFIX.search(component)
    return suffix is not None and suffix.group().startswith(version_component("", digest))


def without_version(component: str) -> str:
    """Return a component's name without what would make it the name of a version's component."""
    return _VERSION_SUFFIX.sub("", component)


def route_key(adapter: str) -> dict[str, str]:
    """Return the key of the item that callers of an adapter read. A policy may allow it by its `pk`."""
    return {"pk": f"route#{adapter}", "sk": "route"}


def is_same_model(one: str, other: str) -> bool:
    """Tell whether two names are of the same base model.

    Only the last parts are compared, as the part before differs between the hub and local folders.
    """
    last, others = (name.rstrip("/").rsplit("/", 1)[-1].casefold() for name in (one, other))
    return last == others


ARCHIVE_SUFFIX = ".tar.gz"

DIGEST = re.compile(r"[0-9a-f]{64}")
"""A SHA-256 in hexadecimal."""

_NAMED_BY_DIGEST = re.compile(rf"(?:sha256-)?({DIGEST.pattern}){re.escape(ARCHIVE_SUFFIX)}")


def archive_name(digest: str) -> str:
    """Return the name of the archive with this digest, as `adapters publish` gives it."""
    return f"sha256-{digest}{ARCHIVE_SUFFIX}"


def digest_in_key(key: str) -> str | None:
    """Return the digest in the last part of a key or URI; None for a name without one."""
    match = _NAMED_BY_DIGEST.fullmatch(key.rpartition("/")[2])
    return match.group(1) if match else None


def near_names(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Return the known names that are near an unknown one, nearest first."""
    return difflib.get_close_matches(name, sorted(known), n=most)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint to add to the error of an unknown name; nothing if no known one is near."""
    near = near_names(name, known)
    return f"; did you mean {near[0]!r}?" if near else ""


def known_or_meant(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown name: the nearest known one, or all of them."""
    known = list(known)
    near = near_names(name, known)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known) or 'none'}"
