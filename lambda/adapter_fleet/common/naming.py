"""Names: of inference components, unique in an account and region, and those that policies go by."""

import re
from collections.abc import Mapping

MAX_COMPONENT_NAME_LENGTH = 63

FLEET_TAG = "fleet-uid"
"""The tag that says which fleet a component belongs to."""

_OF_STACKS = "aws:cloudformation:"
_STACK_NAME = f"{_OF_STACKS}stack-name"

ORDERS_PARTITION = "orders"
"""The partition of a fleet's registry that people write; whoever operates a fleet has to write no other."""

# InferenceComponentName in the botocore service model of SageMaker. `\Z`, as `$` would let a newline pass.
_COMPONENT_NAME = re.compile(r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?\Z")

_LONGEST_FLEET_UID = 128
_FLEET_UID = re.compile(rf"[a-zA-Z0-9\-]{{1,{_LONGEST_FLEET_UID}}}\Z")


def check_component_name(name: str, *, what: str = "component_name") -> None:
    """Raise ValueError, naming `what`, unless SageMaker takes `name` for an inference component."""
    if len(name) > MAX_COMPONENT_NAME_LENGTH:
        raise ValueError(
            f"'{what}' should have at most {MAX_COMPONENT_NAME_LENGTH} characters, got {len(name)}: {name!r}"
        )
    if not _COMPONENT_NAME.match(name):
        raise ValueError(
            f"'{what}' should be letters, digits and hyphens and begin and end with no hyphen, got {name!r}"
        )


def check_component_prefix(prefix: str) -> None:
    """Raise ValueError unless a component's name may begin with `prefix`, a hyphen and something more."""
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
    """Raise ValueError unless `uid` may be the identifier of a fleet, which tags and policies have."""
    if not isinstance(uid, str) or not _FLEET_UID.match(uid):
        raise ValueError(
            f"'fleet_uid' should be at most {_LONGEST_FLEET_UID} letters, digits and hyphens, got {uid!r}"
        )


def stack_of(tags: Mapping[str, str]) -> str | None:
    """Return the CloudFormation stack that has a resource with these tags, None where none has.

    CloudFormation tags what it creates with `aws:cloudformation:stack-name`, `stack-id` and `logical-id`, and
    nobody else can set or take off a tag of `aws:` (user guide, "Resource tag"). What a stack has is not a
    fleet's: the stack would learn of no change, and delete it or fail when it is updated.
    """
    named = tags.get(_STACK_NAME)
    return named or next((tags[key] for key in sorted(tags) if key.startswith(_OF_STACKS)), None)


def component_name(prefix: str, adapter: str) -> str:
    """Return the component name of an adapter, `<prefix>-<adapter>`.

    A name that is too long raises ValueError. It is never cut, since two cut names may be the same.
    """
    name = f"{prefix}-{adapter}"
    check_component_name(name)
    return name
