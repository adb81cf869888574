"""`adapters retry`, `rollback` and `prune`: what a person may ask of single adapters."""

from collections.abc import Sequence
from typing import Annotated

import typer

from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.orders import Order, OrderKind
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from adapters_cli.account import CommandError, account_of, errors_told
from adapters_cli.confirmation import confirm
from adapters_cli.fleet import Fleet, FleetOption, StackOption, TableOption, find_fleet
from adapters_cli.lookup import Adapters
from adapters_cli.overview import Group, Overview
from adapters_cli.status import look
from adapters_cli.text import counted, few, moment

_SHORTEST = 4
"""So many characters of a digest name a version at least."""

_FOLLOW = "'adapters status --wait' follows"


def retry(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Adapters to try again.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Every adapter that failed.")] = False,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
) -> None:
    """Try adapters again that failed, without changing the manifest. It takes names, or --failed.

    One that is pending may be named as well: the fleet goes on, should its state machine have stopped.

    Ends with 1, and orders nothing, where one of those named has not failed, and is not pending.
    """
    if failed == bool(names):
        raise typer.BadParameter("give names, or --failed")
    with errors_told():
        account = account_of(context)
        found = find_fleet(account, stack=stack, name=fleet, table=table_name)
        seen = _worked_on(found)
        if names:
            components = _not_well(Adapters(found, seen), names, seen)
        else:
            components = [adapter.component for adapter in seen.adapters if adapter.group is Group.FAILED]
        if not components:
            pending = seen.counts[Group.PENDING]
            typer.echo(f"no adapter has failed; {pending} pending" if pending else "no adapter has failed")
            return
        now = account.now()
        found.order([Order(kind=OrderKind.RETRY, component=component, at=now) for component in components])
        typer.echo(f"{counted(len(components), 'adapter')} will be tried again; {_FOLLOW}")


def rollback(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The adapter's name, or its component's.")],
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="VERSION", help="One of the last five versions that served; else the last one."
        ),
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Serve what the manifest says again, after a rollback.")
    ] = False,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
) -> None:
    """Serve the last good version of an adapter, until the manifest names another than the present one.

    With --to it is the version that is named, as `adapters history NAME` and `adapters status NAME` have it;
    the first characters of a digest are enough.
    """
    if undo and to is not None:
        raise typer.BadParameter("--undo goes back to what the manifest says; give it without --to")
    with errors_told():
        account = account_of(context)
        found = find_fleet(account, stack=stack, name=fleet, table=table_name)
        [(record, want)] = Adapters(found, _worked_on(found)).named([name])
        if want is None:
            raise CommandError(f"adapter '{name}' is being deleted")
        ordered = {
            order.kind: order for order in found.registry.orders() if order.component == want.component
        }
        if undo:
            if OrderKind.PIN not in ordered:
                raise CommandError(f"adapter '{name}' is not rolled back")
            found.order([Order(kind=OrderKind.UNPIN, component=want.component, at=account.now())])
            typer.echo(f"{name} goes back to {want.artifact.version}, as the manifest says; {_FOLLOW}")
            return
        if OrderKind.UNPIN in ordered:
            raise CommandError(f"a rollback of adapter '{name}' is being taken back; {_FOLLOW}")
        pin = ordered.get(OrderKind.PIN)
        if pin is not None and to is None:
            raise CommandError(
                f"adapter '{name}' is rolled back already; --undo takes that back, and --to names another"
                " version"
            )
        versions = record.versions if record is not None else ()
        artifact = _good_before(name, versions, want) if to is None else _named(name, versions, to, want)
        if pin is not None and artifact.same_version_as(pin.artifact):
            raise CommandError(f"adapter '{name}' is rolled back to {artifact.version} already")
        order = Order(
            kind=OrderKind.PIN,
            component=want.component,
            at=account.now(),
            artifact=artifact,
            replaces=want.artifact,
        )
        found.order([order])
        typer.echo(f"{name} goes back to {artifact.version}; {_FOLLOW}")


def prune(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="COMPONENT", help="Orphans to delete; else they are listed.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete every orphan.")] = False,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
) -> None:
    """List or delete orphans: components with the fleet's tag that no manifest wants.

    No pass deletes them by itself, as someone may have put the tag on them, or the registry may be older than
    they are. To keep one, give it a place in the manifest, or take its tag off.
    """
    if everything and names:
        raise typer.BadParameter("give components, or --all")
    with errors_told():
        account = account_of(context)
        found = find_fleet(account, stack=stack, name=fleet, table=table_name)
        seen = _worked_on(found)
        orphans = {state.component: state for state in seen.adapters if state.group is Group.ORPHAN}
        if not names and not everything:
            for state in orphans.values():
                typer.echo("\t".join([state.component, state.version or "-", moment(state.since) or "-"]))
            return
        unknown = [name for name in names or () if name not in orphans]
        if unknown:
            raise CommandError(
                "\n".join(f"fleet '{found.record.name}' has no orphan '{name}'" for name in unknown)
            )
        chosen = [orphans[name] for name in names or orphans]
        if not chosen:
            typer.echo("there are no orphans")
            return
        listed = few([state.component for state in chosen])
        confirm(f"Delete {counted(len(chosen), 'component')} ({listed})?", "nothing is deleted", yes=yes)
        now = account.now()
        found.order(
            [
                Order(kind=OrderKind.PRUNE, component=state.component, at=now, created=state.since)
                for state in chosen
            ]
        )
        typer.echo(f"{counted(len(chosen), 'component')} will be deleted; {_FOLLOW}")


def _worked_on(fleet: Fleet) -> Overview:
    """Return how a fleet is; CommandError where nothing that is ordered would be done."""
    seen = look(fleet)
    if seen.newest.outcome is Outcome.FAILED:
        raise CommandError(
            f"generation {seen.newest.number} has failed, and nothing is done before another deployment or"
            " manifest"
        )
    return seen


def _not_well(adapters: Adapters, names: list[str], seen: Overview) -> list[str]:
    """Return the components of adapters that failed or are pending; CommandError with all others.

    One that serves may have failed, too: with an artifact that was taken back since.
    """
    states = {adapter.component: adapter for adapter in seen.adapters}
    components, well = [], []
    for record, want in adapters.named(names):
        named = record or want
        assert named is not None  # one of them has the name
        state = states.get(named.component)
        unwell = state is not None and state.group is not Group.IN_SERVICE
        if unwell or (record is not None and record.failure):
            components.append(named.component)
        else:
            well.append(f"adapter '{named.name}' has not failed; it is {state.state if state else 'gone'}")
    if well:
        raise CommandError("\n".join(well))
    return components


def _good_before(name: str, versions: Sequence[Artifact], want: DesiredAdapter) -> Artifact:
    """Return the newest version that was good, beside the one that the manifest names; or CommandError."""
    for artifact in versions:
        if not artifact.same_version_as(want.artifact):
            return artifact
    raise CommandError(f"no good version of adapter '{name}' before {want.artifact.version} is known")


def _named(name: str, versions: Sequence[Artifact], version: str, want: DesiredAdapter) -> Artifact:
    """Return the version that is meant by `--to`; CommandError where it is none, or that of the manifest."""
    found = [artifact for artifact in versions if _is_named(artifact, version)]
    if len(found) > 1:
        several = ", ".join(artifact.digest or artifact.uri for artifact in found)
        raise CommandError(f"'--to {version}' names several versions of adapter '{name}': {several}")
    if _is_named(want.artifact, version) or (found and found[0].same_version_as(want.artifact)):
        raise CommandError(f"version {version} of adapter '{name}' is what the manifest says; see --undo")
    if not found:
        known = [artifact.version for artifact in versions if not artifact.same_version_as(want.artifact)]
        raise CommandError(
            f"'--to' should be a version of adapter '{name}' that served before"
            f" ({', '.join(known) or 'there is none'}), got {version!r}"
        )
    return found[0]


def _is_named(artifact: Artifact, version: str) -> bool:
    digest = version.removeprefix("sha256:").lower()
    if artifact.digest is not None and len(digest) >= _SHORTEST and artifact.digest.startswith(digest):
        return True
    return version in (artifact.version, artifact.uri)
