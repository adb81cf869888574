"""`adapters rollback`: serve an earlier version of one adapter."""

from collections.abc import Collection, Sequence
from typing import Annotated

import typer

from adapter_fleet.aws.adapter_routes import CACHED_SECONDS
from adapter_fleet.fleet.state.known_versions import served_versions
from adapter_fleet.fleet.state.records import Order, OrderKind
from adapter_fleet.fleet.state.routes import Route
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.adapter_lookup import AdapterLookup, complete_adapter
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, newest_generation
from adapters_cli.fleets.fleet_status import desired_by, in_force
from adapters_cli.fleets.orders import FOLLOW_HINT, check_takes_orders, is_proven, with_retries, write_route
from adapters_cli.fleets.versions import is_named, version_document
from adapters_cli.output.errors import CommandError, UsageError
from adapters_cli.output.results import JsonOption, print_result

EXAMPLES = """
# Go back to the last good version.
adapters rollback acme --stack Tenants

# Go back to one of the earlier versions.
adapters rollback acme --to 3f9a --stack Tenants

# Serve the manifest's version again.
adapters rollback acme --undo --stack Tenants
"""


def rollback(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The adapter's name, or its component's.", autocompletion=complete_adapter
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="VERSION", help="One of the last five versions that served; else the last one."
        ),
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Serve the manifest's version again, after a rollback.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve the last good version of an adapter until the manifest names another version.

    In a fleet with releases, callers go back within 30 seconds to a version that is kept in service. An older
    version is loaded again first.

    `adapters history NAME` shows the versions; the first characters of a digest are enough. Ends with 1 if
    there is nothing to order.
    """
    adapter, at, version = name.partition("@")
    if at:
        raise UsageError(f"'{name}' is a version; give it as: rollback {adapter} --to {version}")
    if undo and to is not None:
        raise UsageError("--undo goes back to what the manifest says; give it without --to")
    fleet = find_fleet(account_of(context))
    want = _declared(fleet, name)
    pending = {
        order.kind: order for order in fleet.registry.orders.all() if order.component == want.component
    }
    if undo:
        _undo(fleet, name, want, pending.keys())
        _print(fleet, want, want.artifact, undo=True, as_json=as_json)
        return
    if OrderKind.UNPIN in pending:
        raise CommandError(f"a rollback of adapter '{name}' is being taken back; {FOLLOW_HINT}")
    pin = pending.get(OrderKind.PIN)
    if pin is not None and to is None:
        raise CommandError(
            f"adapter '{name}' is rolled back already; --undo takes that back, and --to names another version"
        )
    route = AdapterLookup(fleet, newest_generation(fleet)).route(want.name)
    record = fleet.registry.records.find(want.component)
    versions = served_versions([] if record is None else [record], route)
    artifact = _last_good(name, versions, want) if to is None else _named(name, versions, to, want)
    if pin is not None and artifact.same_version_as(pin.artifact):
        raise CommandError(f"adapter '{name}' is rolled back to {artifact.version} already")
    order = Order(
        kind=OrderKind.PIN,
        component=want.component,
        at=fleet.account.now(),
        artifact=artifact,
        replaces=want.artifact,
    )
    orders = with_retries([order])
    component = None if route is None else _send_back(fleet, route, artifact, orders)
    fleet.order(orders)
    _print(fleet, want, artifact, undo=False, component=component, as_json=as_json)


def _send_back(fleet: Fleet, route: Route, artifact: Artifact, orders: list[Order]) -> str | None:
    """Route callers back to a version that stays in service; return its component.

    Returns None if the version is to be loaded again.
    """
    generation = in_force(fleet.registry, newest_generation(fleet))
    releases, now = generation.request.target.settings.releases, fleet.account.now()
    if releases is None:
        return None
    for version in route.served[: releases.keep + 1]:
        if version.artifact.same_version_as(artifact) and is_proven(fleet, version):
            back = route.to(version.component, version.artifact, now=now, releases=releases)
            write_route(fleet, back, orders)
            return version.component
    return None


def _print(
    fleet: Fleet,
    adapter: DesiredAdapter,
    artifact: Artifact,
    *,
    undo: bool,
    component: str | None = None,
    as_json: bool,
) -> None:
    """Print the result; `component` is the one that callers are back at, if it answers at once."""
    document = {
        "fleet": fleet.record.name,
        "name": adapter.name,
        "component": component or adapter.component,
        "undo": undo,
        "at_once": component is not None,
        "to": version_document(artifact),
    }
    as_declared = ", as the manifest says" if undo else ""
    text = f"{adapter.name} goes back to {artifact.version}{as_declared}; {FOLLOW_HINT}"
    if component is not None:
        text = f"{adapter.name} is back at {artifact.version}; callers follow within {2 * CACHED_SECONDS:g} s"
    print_result(document, text, as_json=as_json)


def _declared(fleet: Fleet, name: str) -> DesiredAdapter:
    """Return the adapter as the manifest in force declares it."""
    newest = newest_generation(fleet)
    check_takes_orders(fleet, newest)
    [(component, found)] = AdapterLookup(fleet, newest).find_each([name])
    adapter_name = found.partition("@")[0]
    for adapter in desired_by(fleet.registry, in_force(fleet.registry, newest)).adapters:
        if adapter.component == component or adapter.name == adapter_name:
            return adapter
    raise CommandError(f"adapter '{name}' is being deleted")


def _undo(fleet: Fleet, name: str, want: DesiredAdapter, pending: Collection[OrderKind]) -> None:
    if OrderKind.PIN not in pending:
        raise CommandError(f"adapter '{name}' is not rolled back")
    fleet.order([Order(kind=OrderKind.UNPIN, component=want.component, at=fleet.account.now())])


def _last_good(name: str, versions: Sequence[Artifact], want: DesiredAdapter) -> Artifact:
    """Return the newest version that served, other than the manifest's. Raises CommandError for none."""
    for artifact in versions:
        if not artifact.same_version_as(want.artifact):
            return artifact
    raise CommandError(f"no good version of adapter '{name}' before {want.artifact.version} is known")


def _named(name: str, versions: Sequence[Artifact], version: str, want: DesiredAdapter) -> Artifact:
    """Return the version that `--to` names. Raises CommandError for none, several, or the manifest's."""
    found = [artifact for artifact in versions if is_named(artifact, version)]
    if len(found) > 1:
        several = ", ".join(artifact.digest or artifact.uri for artifact in found)
        raise CommandError(f"'--to {version}' names several versions of adapter '{name}': {several}")
    if is_named(want.artifact, version) or (found and found[0].same_version_as(want.artifact)):
        raise CommandError(f"version {version} of adapter '{name}' is what the manifest says; see --undo")
    if not found:
        known = [artifact.version for artifact in versions if not artifact.same_version_as(want.artifact)]
        raise CommandError(
            f"'--to' should be a version of adapter '{name}' that served before"
            f" ({', '.join(known) or 'there is none'}), got {version!r}"
        )
    return found[0]
