"""`adapters promote`: let a new version answer more of an adapter's callers, or all of them."""

from dataclasses import replace
from typing import Annotated

import typer

from adapter_fleet.aws.adapter_routes import CACHED_SECONDS
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.adapter_lookup import AdapterLookup, complete_adapter
from adapters_cli.fleets.fleet_lookup import find_fleet, newest_generation
from adapters_cli.fleets.fleet_status import in_force
from adapters_cli.fleets.orders import check_takes_orders, is_proven, write_route
from adapters_cli.fleets.versions import version_document
from adapters_cli.output.errors import CommandError
from adapters_cli.output.results import JsonOption, print_result

EXAMPLES = """
# All callers.
adapters promote acme --stack Tenants

# A quarter of the callers.
adapters promote acme --percent 25 --stack Tenants
"""


def promote(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The adapter's name.", autocompletion=complete_adapter)
    ],
    percent: Annotated[
        int, typer.Option("--percent", metavar="N", min=1, max=100, help="The share of the callers.")
    ] = 100,
    as_json: JsonOption = False,
) -> None:
    """Let the new version of an adapter, which answers a share of the callers, answer more of them or all.

    Callers follow within 30 seconds. The previous version stays in service for `adapters rollback`. With a
    canary, the steps above this share go on.
    """
    fleet = find_fleet(account_of(context))
    newest = newest_generation(fleet)
    check_takes_orders(fleet, newest)
    releases = in_force(fleet.registry, newest).request.target.settings.releases
    lookup = AdapterLookup(fleet, newest)
    [(component, named)] = lookup.find_each([name])
    adapter, at, _ = named.partition("@")
    route = lookup.route(adapter)
    candidate = None if route is None else route.candidate
    is_candidate = candidate is not None and (not at or candidate.component == component)
    if releases is None or route is None or candidate is None or not is_candidate:
        raise CommandError(f"adapter '{name}' has no new version that answers a share of the callers")
    if percent <= candidate.percent:
        raise CommandError(
            f"'--percent' should be above {candidate.percent}, its share now, got {percent}; 'percent' in the"
            " manifest may be smaller"
        )
    if not is_proven(fleet, candidate):
        raise CommandError(f"version {candidate.artifact.version} is not in service as it was proven")
    now = fleet.account.now()
    if percent < 100:
        changed = route.with_candidate(replace(candidate, percent=percent, since=now, judged=now, held=""))
    else:
        changed = route.to(candidate.component, candidate.artifact, now=now, releases=releases)
    write_route(fleet, changed)
    fleet.start("order")
    version = version_document(candidate.artifact)
    document = {"fleet": fleet.record.name, "name": adapter, "percent": percent, "to": version}
    text = f"{candidate.artifact.version} of {adapter} answers {percent} % of the callers within"
    print_result(document, f"{text} {2 * CACHED_SECONDS:g} s", as_json=as_json)
