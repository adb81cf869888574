"""What the reference says of the commands: a table, and files with policies to copy."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from typer.main import get_command

from adapters_cli.command_group import CommandGroup
from adapters_cli.main import app
from tests.guides import ROOT, MadePart, table
from tests.iam import record
from tests.iam.by_hand import by_hand
from tests.iam.pieces import Piece

GUIDE = ROOT / "docs/reference/permissions.md"
FILES = ROOT / "docs/reference/policies"
"""Where the policies to copy are."""

_FLEET = frozenset(
    {
        Piece("cloudformation:ListStackResources", "stack"),
        Piece("dynamodb:GetItem", "table"),
        Piece("dynamodb:Query", "table"),
    }
)
"""What every command calls that looks for a fleet by its stack."""

_READERS = (
    "status", "describe", "list", "usage", "logs", "plan", "history", "capacity", "check",
)  # fmt: skip
_PUBLISHERS = ("check", "plan", "publish", "pull", "status")
_OPERATORS = (
    *_READERS, "apply", "evaluate", "import", "invoke", "preflight", "preview", "probe", "promote", "prune",
    "publish", "remove", "rollback",
)  # fmt: skip
POLICIES: Mapping[str, Sequence[str]] = {
    "read-only": _READERS,
    "publisher": _PUBLISHERS,
    "operator": _OPERATORS,
}
"""The commands that each policy is for, by the name of its file."""

_LINE = 84

_HERE = "REGION:ACCOUNT"
_ARNS = {
    "*": "*",
    "bucket": "arn:aws:s3:::BUCKET",
    "object": "arn:aws:s3:::BUCKET/*",
    "table": f"arn:aws:dynamodb:{_HERE}:table/TABLE",
    "stack": f"arn:aws:cloudformation:{_HERE}:stack/STACK/*",
    "statemachine": f"arn:aws:states:{_HERE}:stateMachine:MACHINE",
    "endpoint": f"arn:aws:sagemaker:{_HERE}:endpoint/ENDPOINT",
    "endpoint-config": f"arn:aws:sagemaker:{_HERE}:endpoint-config/*",
    "inference-component": f"arn:aws:sagemaker:{_HERE}:inference-component/*",
    "model": f"arn:aws:sagemaker:{_HERE}:model/*",
    "function": f"arn:aws:lambda:{_HERE}:function:*",
    "log-group": f"arn:aws:logs:{_HERE}:log-group:*",
    "foundation-model": "arn:aws:bedrock:REGION::foundation-model/*",
    "key": f"arn:aws:kms:{_HERE}:key/KEY",
    "parameter": f"arn:aws:ssm:{_HERE}:parameter/cdk-bootstrap/*",
    "repository": "arn:aws:ecr:REGION:REGISTRY:repository/*",
    "Secret": f"arn:aws:secretsmanager:{_HERE}:secret:SECRET",
    "topic": f"arn:aws:sns:{_HERE}:TOPIC",
}
"""The resources of a policy, by type."""
_PREVIEW, _BASE = (f"arn:aws:sagemaker:{_HERE}:inference-component/{name}" for name in ("preview-*", "BASE"))
"""The temporary components that commands make, and the base component beside them."""
_MAKING = ("sagemaker:AddTags", "sagemaker:CreateInferenceComponent", "sagemaker:DeleteInferenceComponent")
_ASKING = frozenset({"evaluate", "invoke", "probe"})
"""The commands that ask components of any name."""
_ORDERS_AND_ROUTES = {
    "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["orders", "routes", "route#*"]},
    "Null": {"dynamodb:LeadingKeys": "false"},
}

_ORDER_ACTIONS = ("dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem")


def calls_of(command: str) -> set[Piece]:
    """Return what a command calls, with any of its options."""
    entries = [entry for entry in by_hand("commands") if command in entry.roles]
    return record.pieces("commands", command) | {piece for entry in entries for piece in entry.pieces}


def commands() -> Sequence[str]:
    """Return the names of all commands, in the order of `adapters --help`."""
    group = get_command(app)
    assert isinstance(group, CommandGroup)
    return list(group.modules)


def text() -> str:
    """Return the table of what commands call, and that of the policies."""
    alike: dict[str, list[str]] = defaultdict(list)
    for command in commands():
        alike[_cell(calls_of(command))].append(command)
    calls = [(_names(of), cell) for cell, of in alike.items()]
    files = [(f"[{name}](policies/{name}.json)", _names(of)) for name, of in POLICIES.items()]
    return "\n\n".join([table(["command", "calls"], calls), table(["policy", "for"], files)])


def files() -> Mapping[str, str]:
    """Return the texts of the files with policies, by name."""
    return {f"{name}.json": f"{policy(of)}\n" for name, of in POLICIES.items()}


def _cell(calls: set[Piece]) -> str:
    parts = []
    if calls >= _FLEET:
        calls, parts = calls - _FLEET, ["*fleet*"]
    services: dict[str, set[str]] = defaultdict(set)
    for piece in calls:
        service, _, name = piece.action.partition(":")
        services[service].add(name)
    parts += [f"`{service}:` {_names(sorted(names))}" for service, names in sorted(services.items())]
    return "; ".join(parts) or "nothing"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def policy(of: Iterable[str]) -> str:
    """Return the policy for commands, as JSON."""
    types: dict[tuple[str, bool, tuple[str, ...]], set[str]] = defaultdict(set)
    for command in (names := list(of)):
        for piece in calls_of(command):
            place = piece.on, piece.action in _ORDER_ACTIONS, _resources(piece, names)
            types[place].add(piece.action)
    statements = [
        {
            "Effect": "Allow",
            "Action": sorted(actions),
            "Resource": resources[0] if len(resources) == 1 else list(resources),
            **({"Condition": _ORDERS_AND_ROUTES} if orders else {}),
        }
        for (_, orders, resources), actions in sorted(types.items())
    ]
    return as_json(statements)


def _resources(piece: Piece, commands: Sequence[str]) -> tuple[str, ...]:
    """Return the resources of a call in the policy for commands."""
    if piece.on == "inference-component" and piece.action in _MAKING:
        return (_PREVIEW,)
    if piece == Piece("sagemaker:InvokeEndpoint", "inference-component") and _ASKING.isdisjoint(commands):
        return (_BASE, _PREVIEW)
    return (_ARNS[piece.on],)


def as_json(statements: Sequence[Mapping[str, Any]]) -> str:
    """Return a policy of statements, as it is written in a file."""
    written = json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)
    return re.sub(r"\[\s+([^][{}]*?)\s+\]", _on_one_line, written)


def _on_one_line(items: re.Match[str]) -> str:
    """Return a list on one line, if it is not too long for one."""
    short = f"[{' '.join(items[1].split())}]"
    return short if len(short) <= _LINE else items[0]


def statements(of: Iterable[str]) -> list[dict[str, Any]]:
    """Return the statements of the policy for commands."""
    found: list[dict[str, Any]] = json.loads(policy(of))["Statement"]
    return found


PART = MadePart(
    guide=GUIDE,
    begin="<!-- made of the calls on record, by tests/iam -->",
    end="<!-- the end of what is made -->",
    text=text,
)
