"""Finding a fleet by its stack."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.naming import did_you_mean
from adapter_fleet.common.s3_uri import SCHEME
from adapter_fleet.fleet.state.generations import Generation, Source, Target
from adapter_fleet.fleet.state.records import FleetRecord, Order
from adapter_fleet.fleet.state.registry import Registry
from adapters_cli.aws.account import Account
from adapters_cli.aws.components import meant_name
from adapters_cli.output.errors import CommandError, NoFleetError, UsageError, error_text

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
        self.registry.orders.add(orders)
        self.start("order")

    def start(self, trigger: str) -> None:
        """Start an execution of the fleet's state machine. It replaces a running one."""
        self.account.machines.start_execution(
            stateMachineArn=self.record.machine,
            input=json.dumps({"trigger": trigger, "requested_at": self.account.now()}),
        )


def find_fleet(account: Account) -> Fleet:
    """Return the fleet that `--stack` and `--fleet` name. ADAPTERS_STACK is the default of `--stack`.

    Raises NoFleetError if there is no such fleet, and UsageError if there are several or nothing is given.
    """
    stack = account.stack or stack_of_environment()
    if stack is None:
        raise UsageError("which fleet? Give --stack, or set ADAPTERS_STACK")
    fleets, denied = _fleets(account, stack)
    return _chosen(fleets, account.fleet, stack, denied)


def stack_of_environment() -> str | None:
    """Return the stack that the environment names."""
    return os.environ.get("ADAPTERS_STACK") or None


def fleets_of_stack(account: Account, stack: str) -> list[Fleet]:
    """Return the fleets of a stack and of its nested stacks. Raises NoFleetError if it has none."""
    return _fleets(account, stack)[0]


def fleet_names(account: Account) -> Mapping[str, str]:
    """Return the names of the fleets of ADAPTERS_STACK by uid; none if they cannot be read."""
    stack = stack_of_environment()
    try:
        fleets = [] if stack is None else fleets_of_stack(account, stack)
    except (CommandError, ClientError, BotoCoreError):
        return {}
    return {fleet.record.uid: fleet.record.name for fleet in fleets}


def newest_generation(fleet: Fleet) -> Generation:
    """Return the newest generation of a fleet. Raises NoFleetError before the first one."""
    newest = fleet.registry.generations.find(fleet.record.generation)
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


def _chosen(fleets: list[Fleet], name: str | None, stack: str, denied: ClientError | None) -> Fleet:
    ends = {fleet.record.name.rpartition("/")[2] for fleet in fleets}
    named = [fleet for fleet in fleets if fleet.record.name == name] or [
        fleet for fleet in fleets if name in (None, fleet.record.name.rpartition("/")[2])
    ]
    known = ", ".join(sorted(fleet.record.name for fleet in named or fleets))
    if len(named) > 1:
        raise UsageError(f"stack '{stack}' has several fleets, and --fleet says which: {known}")
    if not named:
        refused = "" if denied is None else f"; a table of the stack may not be read: {error_text(denied)}"
        raise NoFleetError(
            f"stack '{stack}' has no fleet named '{name}': {known}{did_you_mean(str(name), ends)}{refused}"
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


def _fleets(account: Account, stack: str) -> tuple[list[Fleet], ClientError | None]:
    """Return the fleets of a stack, and the refusal of a table that the caller may not read.

    Skips tables that are no registry. Raises the refusal or NoFleetError if there is no fleet.
    """
    found, denied = [], None
    for table in _tables(account, stack):
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
    if not found:
        raise denied or NoFleetError(
            f"stack '{stack}' has no fleet; 'adapters list' shows the components of every endpoint"
        )
    return found, denied


def fleet_of_manifest(account: Account, manifest: str) -> Fleet | None:
    """Return the fleet that reads this manifest in S3; None if it is not known.

    Looks at the fleets of ADAPTERS_STACK alone. One that cannot be read is no error: what it knows only makes
    publishing refuse what the fleet would refuse later.
    """
    stack = stack_of_environment()
    if stack is None or not manifest.startswith(SCHEME):
        return None
    try:
        for fleet in fleets_of_stack(account, stack):
            if newest_generation(fleet).request.target.manifest == manifest:
                return fleet
    except (CommandError, ClientError, BotoCoreError):
        return None
    return None
