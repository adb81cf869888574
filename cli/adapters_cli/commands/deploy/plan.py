"""`adapters plan`: show what a manifest would change on the live endpoint."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from adapter_fleet.common.findings import Finding
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.base_component import read_base
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, manifest_target
from adapters_cli.fleets.fleet_status import (
    FleetStatus,
    desired_by,
    find_manifest_to_come,
    manifest_not_in_force_note,
    manifest_to_come_note,
    read_status,
)
from adapters_cli.fleets.manifest_changes import (
    FAILURES,
    Action,
    AdapterChange,
    ManifestChanges,
    changes_of_manifest,
    with_lost_archives,
)
from adapters_cli.fleets.versions import version_document
from adapters_cli.manifests.manifest_file import ManifestFile, MistakesError
from adapters_cli.output.exit_codes import CHANGES, FAILED, NOT_SETTLED
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import capped, print_error, print_note

_HEADINGS = ("ADAPTER", "ACTION", "FROM", "TO", "WHY")
_SPARE = ("FROM", "TO")
_UNCHANGED = (Action.KEEP, Action.PROBE, *FAILURES)

EXAMPLES = """
# What would this manifest change?
adapters plan adapters.yaml --stack Tenants

# What did somebody change by hand?
adapters plan --stack Tenants

# As a gate: 5 if anything would change.
adapters plan adapters.yaml --stack Tenants --detailed-exitcode
"""


def plan(
    context: typer.Context,
    manifest: Annotated[
        Path | None,
        typer.Argument(
            metavar="MANIFEST",
            help="The manifest, in YAML or JSON; - for standard input. Default: the one in force.",
        ),
    ] = None,
    detailed: Annotated[
        bool, typer.Option("--detailed-exitcode", help=f"End with {CHANGES} if something would change.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a manifest would change on the live endpoint. Nothing is written.

    Without a manifest, it shows what differs from the one in force, such as what somebody changed by hand. It
    then also ends with 3 if the base component has no copy, if S3 has a manifest that is not in force, or if
    the archive of an adapter in service is gone.

    Ends with 1 if the manifest has mistakes, if a guard would refuse it, or if it makes an adapter fail: its
    component belongs to someone else, its archive is not in S3, or its archive failed before. What fails
    already does not count.

    Ends with 3 if the base component is not in service, or if the quota of components has no room for all
    adapters.
    """
    fleet = find_fleet(account_of(context))
    target = manifest_target(fleet)
    warnings: list[Finding] = []
    if manifest is None:
        planned = _planned_in_force(fleet)
    else:
        try:
            desired, warnings = ManifestFile.read(manifest, target, fleet.registry).desired(target)
        except MistakesError as error:
            if as_json:
                print_result(_document(ManifestChanges(), mistakes=error.findings), "", as_json=True)
            raise
        planned = changes_of_manifest(fleet, target, desired)
    planned = with_lost_archives(fleet, planned, target.endpoint)
    for line in capped(list(map(str, warnings)), "warnings"):
        print_error(line)
    shown = [change for change in planned.changes if change.action is not Action.KEEP]
    rows = [_row(change) for change in shown]
    table = RowTable(headings=_HEADINGS, rows=rows, styled=1, spare=_SPARE)
    print_result(_document(planned, warnings=warnings), table, as_json=as_json)
    if not as_json:
        _tell(planned, changed=bool(shown))
    unsettled = manifest is None and any(change.action is Action.UNUSABLE for change in planned.changes)
    raise typer.Exit(_exit_code(planned, detailed=detailed) or (NOT_SETTLED if unsettled else 0))


def _tell(planned: ManifestChanges, *, changed: bool) -> None:
    """Print what the table of changes does not say."""
    if not changed:
        print_note("nothing would change")
    elif sys.stdout.isatty():
        typer.echo(summary(Counter(change.action for change in planned.changes)))
    if planned.trouble:
        print_error(planned.trouble)
    elif planned.room:
        print_note(planned.room)
    if planned.refused:
        print_error(f"the fleet would refuse it: {planned.refused}")


def _planned_in_force(fleet: Fleet) -> ManifestChanges:
    """Return what differs from the manifest in force, with what else is wrong as its trouble."""
    seen = read_status(fleet)
    target, desired = seen.active.request.target, desired_by(fleet.registry, seen.active)
    planned, unseen = changes_of_manifest(fleet, target, desired), _unseen(fleet, seen)
    return replace(planned, trouble="\n".join(filter(None, (planned.trouble, unseen))) or None)


def _unseen(fleet: Fleet, seen: FleetStatus) -> str | None:
    """Return what is wrong with a fleet besides what its manifest in force would change."""
    base = read_base(fleet, seen.active)
    if base.outage or base.note:
        return base.outage or base.note
    seen = replace(seen, manifest_to_come=find_manifest_to_come(fleet, seen))
    if seen.manifest_to_come is not None:
        return manifest_to_come_note(seen.manifest_to_come)
    refused = seen.manifest_not_in_force
    return None if refused is None else manifest_not_in_force_note(refused)


def _exit_code(planned: ManifestChanges, *, detailed: bool) -> int:
    actions = {change.action for change in planned.changes}
    if planned.refused or planned.failing:
        return FAILED
    if planned.trouble:
        return NOT_SETTLED
    return CHANGES if detailed and not actions <= set(_UNCHANGED) else 0


def _document(
    planned: ManifestChanges, *, mistakes: Sequence[Finding] = (), warnings: Sequence[Finding] = ()
) -> dict[str, object]:
    return {
        "refused": planned.refused,
        "trouble": planned.trouble,
        "room": planned.room,
        "mistakes": [asdict(finding) for finding in mistakes],
        "warnings": [asdict(finding) for finding in warnings],
        "changes": [_change_document(change) for change in planned.changes],
    }


def _change_document(change: AdapterChange) -> dict[str, object]:
    return {
        **asdict(change),
        "before_artifact": version_document(change.before_artifact),
        "after_artifact": version_document(change.after_artifact),
    }


def summary(counts: Counter[Action]) -> str:
    """Return the number of adapters for each action."""
    parts = [
        f"{counts[action]} {action.value if action in FAILURES else f'to {action}'}"
        for action in Action
        if counts[action]
    ]
    return ", ".join(parts) or "no adapters"


def _row(change: AdapterChange) -> Sequence[str]:
    return change.name, change.action, change.before or "-", change.after or "-", change.why or ""
