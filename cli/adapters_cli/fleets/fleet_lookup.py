"""Finding a fleet by its stack or its table."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

import typer
from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.near_names import did_you_mean
from adapter_fleet.fleet.state.generations import Generation, Source, Target
from adapter_fleet.fleet.state.orders import Order
from adapter_fleet.fleet.state.records import FleetRecord
from adapter_fleet.fleet.state.registry import Registry
from adapters_cli.aws.account import Account
from adapters_cli.aws.meant_names import meant_name
from adapters_cli.output.errors import CommandError, NoFleetError, UsageError

StackOption = Annotated[
    str | None,
    typer.Option(
        "--stack", metavar="NAME", help="Stack of the fleet; or ADAPTERS_STACK.", show_default=False
    ),
]
FleetOption = Annotated[
    str | None,
    typer.Option("--fleet", metavar="NAME", help="One of the stack's fleets, if it has several."),
]
TableOption = Annotated[
    str | None,
    typer.Option(
        "--table", metavar="NAME", help="Table of the fleet, in place of a stack; or ADAPTERS_TABLE."
    ),
]

_TABLES = ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")
_NO_REGISTRY = ("ValidationException", "ResourceNotFoundException")
"""Codes of a table with other keys, and of a table that does not exist."""
_DENIED = "AccessDeniedException"
_NO_STACK = "ValidationError"
"""Code of CloudFormation for a stack that does not exist, and for a name that no stack can have."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A fleet: its registry and its own record there."""

    account: Account
    registry: Registry
    record: FleetRecord

    def order(self, orders: list[Order]) -> None:
        """Leave orders for the fleet and start its state machine, which takes them."""
        self.registry.order(orders)
        self.start("order")

    def start(self, trigger: str) -> None:
        """Start an execution of the fleet's state machine. It replaces a running one."""
        self.account.machines.start_execution(
            stateMachineArn=self.record.machine,
            input=json.dumps({"trigger": trigger, "requested_at": self.account.now()}),
        )


def find_fleet(account: Account, *, stack: str | None, name: str | None, table: str | None) -> Fleet:
    """Return the fleet of a table or of a stack. ADAPTERS_STACK and ADAPTERS_TABLE are the defaults.

    Raises NoFleetError if there is no such fleet, and UsageError if there are several or nothing is given.
    """
    stack, table = stack_or_table(stack=stack, name=name, table=table)
    if table:
        fleets = _fleets(account, [table])
        if not fleets:
            raise NoFleetError(f"table '{table}' is no registry of a fleet")
        return fleets[0]
    if not stack:
        raise UsageError("which fleet? Give --stack or --table, or set ADAPTERS_STACK or ADAPTERS_TABLE")
    return _chosen(fleets_of_stack(account, stack), name, stack)


def fleets_of_stack(account: Account, stack: str) -> list[Fleet]:
    """Return the fleets of a stack and of its nested stacks. Raises NoFleetError if it has none."""
    fleets = _fleets(account, _tables(account, stack))
    if not fleets:
        raise NoFleetError(f"stack '{stack}' has no fleet")
    return fleets


def stack_or_table(
    *, stack: str | None, name: str | None, table: str | None
) -> tuple[str | None, str | None]:
    """Return the stack or the table of a fleet, from the options or else from the environment.

    Raises UsageError for both of them, and for a fleet's name with a table: a table has one fleet.
    """
    if stack is not None and table is not None:
        raise UsageError("--stack and --table both say where the fleet is; give one of them")
    if name is not None and table is not None:
        raise UsageError("--fleet chooses one of a stack's; with --table there is nothing to choose")
    if stack is not None or table is not None:
        return stack, table
    stack, table = os.environ.get("ADAPTERS_STACK") or None, os.environ.get("ADAPTERS_TABLE") or None
    if stack is not None and table is not None:
        raise UsageError(
            "ADAPTERS_STACK and ADAPTERS_TABLE both say where the fleet is; set one of them, or give --stack"
            " or --table"
        )
    if name is not None and table is not None:
        raise UsageError("--fleet chooses one of a stack's, and ADAPTERS_TABLE names a table; give --stack")
    return stack, table


def newest_generation(fleet: Fleet) -> Generation:
    """Return the newest generation of a fleet. Raises NoFleetError before the first one."""
    newest = fleet.registry.generation(fleet.record.generation)
    if newest is None:
        raise NoFleetError(f"fleet '{fleet.record.name}' has received no manifest yet")
    return newest


def manifest_target(fleet: Fleet) -> Target:
    """Return the target of a fleet's next manifest. Raises CommandError if the fleet is deleted."""
    newest = newest_generation(fleet)
    if newest.request.source is Source.DELETION:
        how = "was deleted" if fleet.record.deleted else "is being deleted"
        raise CommandError(f"fleet '{fleet.record.name}' {how}, and takes no manifest any more")
    return newest.request.target


def _chosen(fleets: list[Fleet], name: str | None, stack: str) -> Fleet:
    known = ", ".join(sorted(fleet.record.name for fleet in fleets))
    if name is None:
        if len(fleets) > 1:
            raise UsageError(f"stack '{stack}' has several fleets, and --fleet says which: {known}")
        return fleets[0]
    named = [fleet for fleet in fleets if fleet.record.name == name] or [
        fleet for fleet in fleets if fleet.record.name.rpartition("/")[2] == name
    ]
    if len(named) != 1:
        names = {fleet.record.name.rpartition("/")[2] for fleet in fleets}
        raise NoFleetError(
            f"stack '{stack}' has no one fleet named '{name}': {known}{did_you_mean(name, names)}"
        )
    return named[0]


def _tables(account: Account, stack: str) -> Iterator[str]:
    """Yield the tables of a stack and of its nested stacks. Raises NoFleetError if there is no such stack."""
    pages = account.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    try:
        for page in pages:
            for resource in page["StackResourceSummaries"]:
                made = resource.get("PhysicalResourceId")
                if not made:
                    continue
                if resource["ResourceType"] in _TABLES:
                    yield made
                elif resource["ResourceType"] == "AWS::CloudFormation::Stack":
                    yield from _tables(account, made)
    except ClientError as error:
        if code_of(error) != _NO_STACK:
            raise
        meant = meant_name(stack, lambda: _stacks(account))
        raise NoFleetError(f"there is no stack '{stack}' in {account.region}{meant}") from None


def _stacks(account: Account) -> Iterator[str]:
    pages = account.cloudformation.get_paginator("list_stacks").paginate()
    for page in pages:
        for found in page["StackSummaries"]:
            if found["StackStatus"] != "DELETE_COMPLETE":
                yield found["StackName"]


def _fleets(account: Account, tables: Iterable[str]) -> list[Fleet]:
    """Return the fleets of tables. Skip tables that are no registry or that the caller may not read."""
    found, denied = [], None
    for table in tables:
        registry = account.registry(table)
        try:
            record = registry.fleet()
        except ClientError as error:
            if code_of(error) == _DENIED:
                denied = error
            elif code_of(error) not in _NO_REGISTRY:
                raise
            continue
        if record is not None:
            found.append(Fleet(account=account, registry=registry, record=record))
    if denied is not None and not found:
        raise denied
    return found
