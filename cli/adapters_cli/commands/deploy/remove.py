"""`adapters remove`: remove adapters from a manifest, here or in S3."""

from pathlib import Path
from typing import Annotated

import typer

from adapter_fleet.common.counts import counted
from adapter_fleet.fleet.state.generations import Target
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.adapter_lookup import complete_adapter
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, manifest_target
from adapters_cli.fleets.manifest_changes import ManifestChanges, accepted_changes
from adapters_cli.fleets.orders import FOLLOW_HINT
from adapters_cli.manifests.editable_manifest import EditableManifest
from adapters_cli.manifests.manifest_file import ManifestFile
from adapters_cli.manifests.removal import without
from adapters_cli.output.confirmation import confirm
from adapters_cli.output.errors import CommandError, UsageError
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.text import few, print_note

EXAMPLES = """
# Remove two adapters from a file.
adapters remove acme globex --manifest adapters.yaml

# Remove one from the fleet's manifest in S3.
adapters remove acme --stack Tenants --yes
"""


def remove(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME", help="Adapters of the manifest.", autocompletion=complete_adapter),
    ],
    manifest: Annotated[
        str | None,
        typer.Option(
            "--manifest",
            "-m",
            metavar="FILE",
            help="The manifest, here or in S3; else that of the fleet in S3.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove adapters from a manifest.

    The rest of the manifest stays as it is, with its comments. The fleet deletes the adapters at once for a
    manifest in S3, and with the next deployment for a file of the app.

    With a fleet, nothing is written if its guard against deletions would refuse the manifest.
    """
    account = account_of(context)
    fleet = None
    if account.names_fleet or manifest is None:
        fleet = find_fleet(account)
    target = None if fleet is None else manifest_target(fleet)
    editable = EditableManifest.of(manifest or _of_fleet(fleet, target), account)
    if editable.folder is not None and not Path(editable.where).is_file():
        raise UsageError(f"there is no file {editable.where}")
    text = without(editable.read(), names, where=editable.where, folder=editable.folder)
    unique = list(dict.fromkeys(names))
    absent: list[str] = []
    if fleet is not None and target is not None:
        planned = _guarded_changes(fleet, target, text, editable)
        absent = [] if planned.trouble is not None else _without_component(unique, planned)
    confirm(
        f"Remove {counted(len(unique), 'adapter')} ({few(unique)}) from {editable.where}?",
        "nothing is removed",
        yes=yes,
    )
    editable.update(lambda present: without(present, names, where=editable.where, folder=editable.folder))
    document = {"manifest": editable.where, "removed": unique}
    removed = f"{counted(len(unique), 'adapter')} removed from {editable.where}"
    print_result(document, removed, as_json=as_json)
    if absent:
        print_note(f"the fleet has no component of {few(absent)}, and deletes none")
    if len(absent) < len(unique):
        print_note(_next_step(editable, target))


def _of_fleet(fleet: Fleet | None, target: Target | None) -> str:
    """Return the URI of a fleet's own manifest. Raises CommandError if it belongs to a deployment."""
    if fleet is None or target is None:
        raise UsageError("which manifest? Give --manifest, or a fleet's --stack")
    if target.manifest is None:
        raise CommandError(
            f"the manifest of fleet '{fleet.record.name}' belongs to its stack; give its file with --manifest"
        )
    return target.manifest


def _guarded_changes(
    fleet: Fleet, target: Target, text: bytes, manifest: EditableManifest
) -> ManifestChanges:
    """Return what the manifest would change. Raises CommandError if the fleet would refuse it."""
    file = ManifestFile.of(text, target, fleet.registry, where=manifest.where, folder=manifest.folder)
    desired, _ = file.desired(target)
    return accepted_changes(fleet, target, desired)


def _without_component(names: list[str], planned: ManifestChanges) -> list[str]:
    """Return the removed adapters that the fleet never created, such as those of a refused manifest."""
    there = {change.name.casefold() for change in planned.changes}
    return [name for name in names if name.casefold() not in there]


def _next_step(manifest: EditableManifest, target: Target | None) -> str:
    if target is not None and target.manifest == manifest.where:
        return f"the fleet deletes them; {FOLLOW_HINT}"
    if manifest.folder is None:
        return "the fleet of this manifest deletes them, unless its guard against deletions refuses it"
    if target is not None and target.manifest is not None:
        return f"'adapters apply {manifest.where}' deletes them"
    return "the next deployment deletes them; 'adapters plan' shows what it would do"
