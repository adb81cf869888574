"""Finding the components that a person names, of a fleet or of an endpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.naming import did_you_mean
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.sagemaker_port import ServiceError
from adapters_cli.aws.account import Account
from adapters_cli.aws.components import EndpointComponents, no_endpoint
from adapters_cli.fleets.adapter_lookup import BASE, AdapterLookup
from adapters_cli.fleets.base_component import BasePlace
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, newest_generation
from adapters_cli.fleets.fleet_status import desired_by, in_force
from adapters_cli.output.errors import CommandError, UsageError

ComponentOption = Annotated[
    list[str] | None,
    typer.Option("--component", "-c", metavar="NAME", help="A component. Repeatable."),
]


@dataclass(frozen=True, kw_only=True)
class NamedComponents:
    """Components of an endpoint that a person named.

    names:
        The person's names by component.
    fleet:
        The fleet that has them; None for components of the endpoint that `--endpoint` names.
    place:
        The fleet's base component, named or not. None without a fleet, which alone knows it.
    """

    endpoint: str
    names: Mapping[str, str]
    fleet: Fleet | None = None
    place: BasePlace | None = None


def find_components(
    account: Account, names: Sequence[str], components: Sequence[str], *, base: bool | None
) -> NamedComponents:
    """Return adapters and components of a fleet, or components of the endpoint that `--endpoint` names.

    `base` adds the fleet's base model; it is None for a command that has no option for it.

    Raises CommandError for names that the fleet does not have, and UsageError if nothing is named.
    """
    found = _named(account, names, components, base=bool(base))
    if not found.names:
        of_fleet = f"adapters of the fleet{'' if base is None else ', or --base'}"
        raise UsageError(f"which adapter? Give {'--component' if found.fleet is None else of_fleet}")
    return found


def find_adapters(account: Account, names: Sequence[str], components: Sequence[str]) -> NamedComponents:
    """Return the named adapters of a fleet or of an endpoint; all that serve if none is named.

    Raises CommandError for names that are unknown, and if there is no adapter.
    """
    found = _named(account, names, components, base=False)
    for component in components:
        live_component(account, found.endpoint, component)
    return found if found.names else replace(found, names=_serving(account, found))


def live_component(account: Account, endpoint: str, name: str) -> ObservedComponent:
    """Describe a component of an endpoint. Raises CommandError if the endpoint does not have it."""
    live = account.service.describe(name)
    if live is None or live.endpoint != endpoint:
        raise _no_component(account, endpoint, name)
    return live


def _named(
    account: Account, names: Sequence[str], components: Sequence[str], *, base: bool
) -> NamedComponents:
    endpoint = account.endpoint_alone
    if endpoint is not None:
        if names or base:
            raise UsageError("--endpoint takes the --component names, and no adapter or base of a fleet")
        return NamedComponents(endpoint=endpoint, names={name: name for name in components})
    fleet = find_fleet(account)
    newest = newest_generation(fleet)
    place = BasePlace.of(newest.request.target)
    named = {place.base: BASE} if base else {}
    named |= AdapterLookup(fleet, newest).find(names)
    named |= {name: name for name in components}
    return NamedComponents(endpoint=place.endpoint, names=named, fleet=fleet, place=place)


def _serving(account: Account, found: NamedComponents) -> Mapping[str, str]:
    """Return the names of all adapters that serve: the fleet's, or those of the endpoint's base model."""
    live = EndpointComponents(account, found.endpoint)
    listed = live.listed()
    serving = [name for name, one in listed.items() if one.status is Status.IN_SERVICE]
    if found.fleet is not None:
        registry = found.fleet.registry
        desired = desired_by(registry, in_force(registry, newest_generation(found.fleet))).adapters
        routes, unreadable, _ = registry.routes.read()
        answering = {
            routes[each.name].live.component if each.name in routes else each.component: each.name
            for each in desired
            if each.name not in unreadable
        }
        adapters = {component: name for component, name in answering.items() if component in serving}
    else:
        described = live.described(serving)
        bases = {name: one.base for name, one in described.items() if one is not None and one.base}
        if len(set(bases.values())) > 1:
            raise CommandError(
                f"{found.endpoint} has several base models; name adapters of one with --component"
            )
        adapters = {name: name for name in bases}
    if adapters:
        return adapters
    if not listed:
        raise no_endpoint(account, found.endpoint)
    raise CommandError(f"{found.endpoint} has no adapter in service")


def _no_component(account: Account, endpoint: str, name: str) -> CommandError:
    """Return the error of a component that an endpoint does not have, with the name that may be meant."""
    try:
        listed = EndpointComponents(account, endpoint).listed()
    except (BotoCoreError, ClientError, ServiceError):
        return CommandError(f"endpoint {endpoint} has no component '{name}'")  # the caller may not list them
    if not listed:
        return no_endpoint(account, endpoint)
    return CommandError(f"endpoint {endpoint} has no component '{name}'{did_you_mean(name, listed)}")
