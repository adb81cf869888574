"""Finding the adapters that a person names."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.naming import component_name
from adapter_fleet.common.near_names import did_you_mean
from adapter_fleet.fleet.state.generations import Generation
from adapter_fleet.fleet.state.sagemaker_port import ServiceError
from adapters_cli.aws.account import Account
from adapters_cli.aws.components import EndpointComponents, no_endpoint
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, newest_generation
from adapters_cli.fleets.fleet_status import desired_by, in_force
from adapters_cli.output.errors import CommandError, UsageError

BASE = "base"
"""The name of a fleet's base model in the output of commands."""

ComponentOption = Annotated[
    list[str] | None,
    typer.Option("--component", "-c", metavar="NAME", help="A component. Repeatable."),
]


class AdapterLookup:
    """Finds components of a fleet by an adapter's name or by a component's own name.

    Most components are named `<prefix>-<adapter>`, so that one record answers. For other names the desired
    state is read, and all records only for names that it does not have.
    """

    def __init__(self, fleet: Fleet, newest: Generation) -> None:
        self._fleet, self._newest = fleet, newest

    def find(self, names: Iterable[str]) -> dict[str, str]:
        """Return adapters' names by component, in the order given. Raises CommandError with unknown names."""
        found, unknown = {}, []
        for name in dict.fromkeys(names):
            component = self._find(name)
            if component is None:
                unknown.append(str(self.unknown(name)))
            else:
                found[component] = self._name_of(component) if component == name else name
        if unknown:
            raise CommandError("\n".join(unknown))
        return found

    def unknown(self, name: str) -> CommandError:
        """Return the error of a name that no adapter has, with the name that may be meant."""
        return CommandError(f"the fleet has no adapter '{name}'{did_you_mean(name, self.known)}")

    @property
    def known(self) -> Set[str]:
        """The names of all adapters, and of their components."""
        return {*self._names.values(), *self._names}

    def component_of_events(self, name: str) -> str:
        """Return the component of an adapter that the fleet has or had. Raises CommandError for none."""
        component = self._find(name)
        if component is None:
            component = self._default_component(name)
            if not self._fleet.registry.history(component, 1):
                raise self.unknown(name)
        return component

    def component(self, name: str) -> str:
        """Return the component of a name, also of an adapter that is gone."""
        return self._find(name) or self._default_component(name)

    def _find(self, name: str) -> str | None:
        component = self._default_component(name)
        record = self._fleet.registry.record(component)
        # While the manifest moves an adapter to another component, the old one is counted for deletion.
        if record is not None and record.name == name and record.counted is None:
            return component
        return _component_in(self._desired, name) or _component_in(self._names, name)

    def _name_of(self, component: str) -> str:
        return self._desired.get(component) or self._names[component]

    def _default_component(self, name: str) -> str:
        prefix = self._newest.request.target.prefix
        if not prefix or name.startswith(f"{prefix}-"):
            return name
        try:
            return component_name(prefix, name)
        except ValueError:
            return name

    @cached_property
    def _desired(self) -> dict[str, str]:
        """The names of the adapters that the manifest in force declares, by component."""
        registry = self._fleet.registry
        desired = desired_by(registry, in_force(registry, self._newest)).adapters
        return {adapter.component: adapter.name for adapter in desired}

    @cached_property
    def _names(self) -> dict[str, str]:
        """The names of all adapters by component. Those of the manifest win."""
        records = self._fleet.registry.records().values()
        return {record.component: record.name for record in records} | self._desired


def _component_in(names: Mapping[str, str], name: str) -> str | None:
    """Return the component of an adapter's name or of its own name; None if there is none."""
    found = (component for component, adapter in names.items() if adapter == name)
    return next(found, name if name in names else None)


def no_component(account: Account, endpoint: str, name: str) -> CommandError:
    """Return the error of a component that an endpoint does not have, with the name that may be meant."""
    try:
        listed = EndpointComponents(account, endpoint).listed()
    except (BotoCoreError, ClientError, ServiceError):
        return CommandError(f"endpoint {endpoint} has no component '{name}'")  # the caller may not list them
    if not listed:
        return no_endpoint(account, endpoint)
    return CommandError(f"endpoint {endpoint} has no component '{name}'{did_you_mean(name, listed)}")


@dataclass(frozen=True, kw_only=True)
class NamedComponents:
    """Components of an endpoint that a person named.

    names:
        The person's names by component.
    base:
        The component of the base model, named or not. None without a fleet, which alone knows it.
    """

    endpoint: str
    names: Mapping[str, str]
    base: str | None = None


def find_components(
    account: Account,
    names: Sequence[str],
    components: Sequence[str],
    *,
    base: bool | None,
) -> NamedComponents:
    """Return adapters and components of a fleet, or components of the endpoint that `--endpoint` names.

    `base` adds the fleet's base model; it is None for a command that has no option for it.

    Raises CommandError for names that the fleet does not have, and UsageError if nothing is named.
    """
    endpoint = account.endpoint_alone
    if endpoint is not None:
        if not components or names or base:
            raise UsageError("--endpoint takes the --component names, and no adapter or base of a fleet")
        return NamedComponents(endpoint=endpoint, names={name: name for name in components})
    found = find_fleet(account)
    newest = newest_generation(found)
    target = newest.request.target
    named = {target.base: BASE} if base else {}
    named |= AdapterLookup(found, newest).find(names)
    named |= {name: name for name in components}
    if not named:
        raise UsageError(f"which adapter? Give adapters of the fleet{'' if base is None else ', or --base'}")
    return NamedComponents(endpoint=target.endpoint, names=named, base=target.base)
