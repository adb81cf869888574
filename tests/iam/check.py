"""Compares the policies of every role with the calls on record, and with AWS's own reference."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from tests.iam import record, reference
from tests.iam.by_hand import by_hand
from tests.iam.pieces import Piece, as_list, pieces_of
from tests.iam.roles import Role, Roles


@cache
def _on_record(kind: str) -> frozenset[Piece]:
    return frozenset(record.pieces("roles", kind))


def expected(role: Role) -> Counter[Piece]:
    """Return what a role should be allowed, and in how many statements."""
    wanted = Counter(_on_record(role.kind)) if role.kind is not None else Counter[Piece]()
    for entry in by_hand("uncalled"):
        if entry.is_about(role.name):
            wanted.update(entry.pieces)
    for entry in by_hand("absent"):
        if entry.is_about(role.name):
            for piece in entry.pieces:
                wanted.pop(piece, None)
    for entry in by_hand("repeated"):
        if entry.is_about(role.name):
            wanted.update(dict.fromkeys(entry.pieces, entry.statements - 1))
    return wanted


def differences(roles: Roles, role: Role) -> list[str]:
    """Return in what a role's policies differ from what it calls."""
    if role.kind is None:
        return [f"{role.name} is of no kind that tests/iam/pieces.py knows"]
    allowed: Counter[Piece] = Counter()
    for statement in role.statements:
        allowed.update(pieces_of(statement, roles.resources_of(statement)))
    wanted = expected(role)
    return [
        *(
            f"{role.name} is allowed {_often(piece, times)}, and never calls it so"
            for piece, times in (allowed - wanted).items()
        ),
        *(
            f"{role.name} is not allowed {_often(piece, times)}, and calls it"
            for piece, times in (wanted - allowed).items()
        ),
    ]


def _often(piece: Piece, times: int) -> str:
    return f"{piece} ({times} times)" if times > 1 else str(piece)


def refusals(roles: Roles, role: Role) -> list[str]:
    """Return what in a role's policies does not fit AWS's reference."""
    return [
        f"{role.name}: {fault}"
        for statement in role.statements
        for fault in statement_faults(statement, roles.resources_of(statement))
    ]


def statement_faults(statement: Mapping[str, Any], resources: Sequence[str]) -> Iterator[str]:
    """Yield what in a statement does not fit AWS's reference."""
    yield from _open_faults(statement, resources)
    used: set[str] = set()
    for pattern in as_list(statement["Action"]):
        actions = reference.actions(pattern)
        if not actions:
            yield f"there is no action {pattern}"
            used.update(resources)
        taken = {each for each in resources if any(one.type_of(each) for one in actions)}
        used |= taken
        if actions and not taken:
            yield f"{pattern} takes none of {', '.join(resources)}"
        if "*" in resources and any(one.required for one in actions) and not _may_be_wide(pattern):
            yield f"{pattern} has resource types, and is allowed on *"
        for key in (key for of in (statement.get("Condition") or {}).values() for key in of):
            if not all(one.has_key(key) for one in actions):
                yield f"{pattern} has no condition key {key}"
    for resource in resources:
        if resource not in used:
            yield f"no action of {', '.join(as_list(statement['Action']))} takes {resource}"


def _open_faults(statement: Mapping[str, Any], resources: Sequence[str]) -> Iterator[str]:
    """Yield what makes a statement say more, or something else, than its pieces."""
    if statement["Effect"] != "Allow":
        yield f"it is a statement with {statement['Effect']}, which nothing here reads"
    for of in (statement.get("Condition") or {}).values():
        yield from (f"the condition on {key} holds for everything" for key in of if "*" in as_list(of[key]))
    for resource in resources:
        if resource != "*" and "*" in _owner(resource):
            yield f"{resource} may be anybody's"


def _owner(resource: str) -> str:
    """Return the part of an ARN that says whose it is: up to the account, or the bucket in S3."""
    return resource.partition("/")[0] if ":s3:" in resource else resource.rpartition(":")[0]


def _may_be_wide(action: str) -> bool:
    return any(action in entry.actions for entry in by_hand("wide"))
