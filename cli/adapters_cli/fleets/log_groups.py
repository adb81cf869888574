"""The log groups that tell of an adapter: its component's, its base's and the fleet's functions'."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from adapters_cli.aws.account import Account
from adapters_cli.fleets.fleet_lookup import Fleet

_FUNCTION = re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+")


@dataclass(frozen=True, kw_only=True)
class LogGroup:
    """A log group.

    source:
        What it is of, in the output: `adapter`, `base` or `fleet`.
    about:
        Only lines with this text; None for all.
    """

    name: str
    source: str
    about: str | None = None


def component_group(component: str, source: str, about: str | None = None) -> LogGroup:
    """Return the log group of a component. [V] the name; [T] an adapter's output is in its base's."""
    return LogGroup(name=f"/aws/sagemaker/InferenceComponents/{component}", source=source, about=about)


def fleet_groups(fleet: Fleet, about: str | None = None) -> Iterator[LogGroup]:
    """Yield the log groups of the functions that a fleet's state machine calls."""
    definition = fleet.account.machines.describe_state_machine(stateMachineArn=fleet.record.machine)[
        "definition"
    ]
    names = {_group_of(fleet.account, function) for function in sorted(set(_FUNCTION.findall(definition)))}
    for name in sorted(names):
        yield LogGroup(name=name, source="fleet", about=about)


def _group_of(account: Account, function: str) -> str:
    configuration: dict[str, Any] = account.client("lambda").get_function_configuration(FunctionName=function)
    named: str = configuration.get("LoggingConfig", {}).get("LogGroup") or ""
    return named or f"/aws/lambda/{function.rpartition(':')[2]}"
