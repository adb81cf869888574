"""`adapters import`: write a manifest of adapters that were made by hand, and hand them over to a fleet."""

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.archive import ArchiveError
from adapter_fleet.manifest import (
    Manifest,
    ManifestAdapter,
    ManifestError,
    S3Artifact,
    manifest_text,
    named_digest,
)
from adapter_fleet.names import FLEET_TAG
from adapter_fleet.record import Live, Order, OrderKind, Status
from adapters_cli.account import Account, CommandError, account_of, errors_told, explained
from adapters_cli.components import Components
from adapters_cli.fleet import Fleet, FleetOption, StackOption, TableOption, find_fleet
from adapters_cli.overview import Overview, overview, wanted
from adapters_cli.text import complain, counted, tell

_DOWNLOADS = 4


def import_(
    context: typer.Context,
    endpoint: Annotated[str, typer.Option("--endpoint", metavar="NAME", help="Where the adapters are.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File of the manifest; else standard output.")
    ] = None,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="Allow the fleet to take them over, once its manifest has them."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before that.")] = False,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
) -> None:
    """Write a manifest of the adapters on an endpoint that belong to no fleet.

    With --take-over, a fleet may make them its own without creating them again: it does so once its
    manifest has them.
    """
    with errors_told():
        account = account_of(context)
        found = _fleet(account, stack, fleet, table_name, needed=take_over)
        seen = overview(found.registry, account.now()) if found is not None else None
        target = seen.newest.request.target if seen is not None else None
        if take_over and target is None:
            raise CommandError("the fleet has never been asked for anything; deploy it first, without them")
        if take_over and target is not None and target.endpoint != endpoint:
            raise CommandError(f"the fleet is on endpoint '{target.endpoint}', got '{endpoint}'")
        alone = _of_nobody(Components(account, endpoint), base=target.base if target is not None else None)
        adapters, problems = _entries(account, alone, prefix=target.prefix if target is not None else None)
        for problem in problems:
            complain(problem)
        text = _text(adapters)
        if output is not None:
            output.write_text(text, encoding="utf-8")
        else:
            typer.echo(text, nl=False)
        tell(f"{counted(len(adapters), 'adapter')} on '{endpoint}' belong to no fleet")
        if adapters and found is not None and seen is not None and take_over:
            _confirm(len(adapters), found, yes=yes)
            components = [adapter.component_name(seen.newest.request.target.prefix) for adapter in adapters]
            _hand_over(found, seen, {component: alone[component][0] for component in components})
        if problems:
            raise typer.Exit(1)


def _fleet(
    account: Account, stack: str | None, name: str | None, table: str | None, *, needed: bool
) -> Fleet | None:
    given = stack or table or os.environ.get("ADAPTERS_STACK") or os.environ.get("ADAPTERS_TABLE")
    if not needed and not given:
        return None
    return find_fleet(account, stack=stack, name=name, table=table)


def _of_nobody(components: Components, *, base: str | None) -> dict[str, tuple[Live, dict[str, str]]]:
    """Return the adapters that belong to no fleet, with their tags; those of one base, if it is given."""
    described = components.described(
        name for name, live in components.listed().items() if live.status is not Status.DELETING
    )
    adapters = {
        name: live
        for name, live in described.items()
        if live is not None and live.base is not None and (base is None or live.base == base)
    }
    tags = components.tags(adapters)
    return {name: (adapters[name], own) for name, own in sorted(tags.items()) if FLEET_TAG not in own}


def _entries(
    account: Account, alone: dict[str, tuple[Live, dict[str, str]]], *, prefix: str | None
) -> tuple[list[ManifestAdapter], list[str]]:
    """Return the manifest's adapters, and why others are left out."""
    uris = sorted({live.artifact_uri for live, _ in alone.values() if live.artifact_uri is not None})
    with ThreadPoolExecutor(_DOWNLOADS) as downloads:
        digests = dict(zip(uris, downloads.map(lambda uri: _digest(account, uri), uris), strict=True))
    adapters, problems = [], []
    for component, (live, tags) in alone.items():
        uri = live.artifact_uri
        if uri is None:
            problems.append(f"{component}: it has no artifact")
            continue
        digest = digests[uri]
        if isinstance(digest, Exception):
            problems.append(f"{component}: {uri}: {explained(digest)}")
            continue
        name = component.removeprefix(f"{prefix}-") if prefix is not None else component
        artifact = S3Artifact(uri=uri)
        adapters.append(
            ManifestAdapter(
                name=name,
                artifact=artifact,
                digest=None if named_digest(artifact) == digest else digest,
                tags={key: value for key, value in tags.items() if not key.startswith("aws:")},
                component=component if name == component else None,
            )
        )
    return adapters, problems


def _text(adapters: list[ManifestAdapter]) -> str:
    """Return the manifest; CommandError where the adapters cannot be in one."""
    try:
        Manifest.of(adapters)
    except ManifestError as error:
        raise CommandError("\n".join(finding.message for finding in error.findings)) from None
    return manifest_text(adapters)


def _digest(account: Account, uri: str) -> str | Exception:
    """Return the identity of the adapter in an archive in S3, or why there is none."""
    # Its compressor takes a while to import.
    from adapter_fleet.packing import identity_of_archive

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    with tempfile.TemporaryDirectory(prefix="adapter-") as scratch:
        path = Path(scratch, "adapter.tar.gz")
        try:
            account.s3.download_file(bucket, key, str(path))
            return identity_of_archive(path)
        except (ArchiveError, BotoCoreError, ClientError, OSError) as error:
            return error


def _hand_over(fleet: Fleet, seen: Overview, components: dict[str, Live]) -> None:
    """Leave the orders by which the fleet may make components its own."""
    now = fleet.account.now()
    orders = [
        Order(kind=OrderKind.CLAIM, component=component, at=now, created=live.created)
        for component, live in components.items()
    ]
    present = {adapter.component for adapter in wanted(fleet.registry, seen.active).adapters}
    if present.isdisjoint(components):
        # Nothing to do for the fleet until its manifest has them.
        fleet.registry.order(orders)
    else:
        fleet.order(orders)
    number = counted(len(orders), "adapter")
    tell(f"{fleet.record.name} takes over {number} once its manifest has them")


def _confirm(number: int, fleet: Fleet, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("nobody can be asked here; --yes confirms")
    question = f"Let {fleet.record.name} take over {counted(number, 'adapter')}?"
    if not typer.confirm(question, err=True):
        raise CommandError("nothing is taken over")
