"""Finding what a benchmark asks: adapters of a fleet or of an endpoint, and the base model below them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapter_fleet.fleet.state.components import Status
from adapters_cli.aws.account import Account
from adapters_cli.aws.components import EndpointComponents, no_endpoint
from adapters_cli.aws.engine_name import BaseContainer
from adapters_cli.fleets.adapter_lookup import AdapterLookup, no_component
from adapters_cli.fleets.fleet_lookup import find_fleet, newest_generation
from adapters_cli.fleets.fleet_status import desired_by, in_force
from adapters_cli.output.errors import CommandError, UsageError


@dataclass(frozen=True, kw_only=True)
class LoadTargets:
    """Adapters and their base.

    adapters:
        Their names by component.
    """

    endpoint: str
    adapters: Mapping[str, str]
    container: BaseContainer

    @classmethod
    def find(
        cls,
        account: Account,
        names: Sequence[str],
        components: Sequence[str],
    ) -> "LoadTargets":
        """Return the named adapters of a fleet or an endpoint; all that serve if none is named.

        Raises CommandError for names that are unknown, and if there is no adapter.
        """
        endpoint = account.endpoint_alone
        if endpoint is not None:
            if names:
                raise UsageError("--endpoint takes --component, and no adapters of a fleet")
            return cls._of_endpoint(account, endpoint, components)
        found = find_fleet(account)
        newest = newest_generation(found)
        target = newest.request.target
        _check_components(account, target.endpoint, components)
        named = AdapterLookup(found, newest).find(names) | {name: name for name in components}
        if not named:
            adapters = desired_by(found.registry, in_force(found.registry, newest)).adapters
            serving = set(_serving(EndpointComponents(account, target.endpoint)))
            named = {each.component: each.name for each in adapters if each.component in serving}
        if not named:
            raise CommandError("the fleet has no adapter in service")
        container = BaseContainer.read(account, target.base)
        return cls(endpoint=target.endpoint, adapters=named, container=container)

    @classmethod
    def _of_endpoint(cls, account: Account, endpoint: str, components: Sequence[str]) -> "LoadTargets":
        _check_components(account, endpoint, components)
        names = list(components)
        if not names:
            live = EndpointComponents(account, endpoint)
            described = live.described(_serving(live))
            adapters = {name: one.base for name, one in described.items() if one is not None and one.base}
            if len(set(adapters.values())) > 1:
                raise CommandError(
                    f"{endpoint} has several base models; name adapters of one with --component"
                )
            names = list(adapters)
        if not names:
            if not EndpointComponents(account, endpoint).listed():
                raise no_endpoint(account, endpoint)
            raise CommandError(f"{endpoint} has no adapter in service")
        container = BaseContainer.read(account, names[0])
        if container.endpoint != endpoint:
            raise CommandError(f"{names[0]} is on the endpoint {container.endpoint}, not on {endpoint}")
        adapters_named = {name: name for name in names if name != container.component}
        if not adapters_named:
            raise UsageError(
                f"{container.component} is the base; name adapters, which are measured beside it"
            )
        return cls(endpoint=endpoint, adapters=adapters_named, container=container)


def _check_components(account: Account, endpoint: str, components: Sequence[str]) -> None:
    """Raise CommandError for the first component that does not exist."""
    for name in components:
        if account.service.describe(name) is None:
            raise no_component(account, endpoint, name)


def _serving(live: EndpointComponents) -> list[str]:
    return [name for name, one in live.listed().items() if one.status is Status.IN_SERVICE]
