"""Finding the adapters that a person names, and the argument that names one."""

from collections.abc import Iterable, Mapping, Set
from functools import cached_property
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.naming import adapter_component, component_name, did_you_mean
from adapter_fleet.fleet.state.generations import Generation
from adapter_fleet.fleet.state.routes import Route, StoredRoutes
from adapter_fleet.fleet.state.rows.row import UnreadableError
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet
from adapters_cli.fleets.fleet_status import desired_by, in_force
from adapters_cli.fleets.versions import is_named
from adapters_cli.output.errors import CommandError

BASE = "base"
"""The name of a fleet's base model in the output of commands."""


class AdapterLookup:
    """Finds components of a fleet by an adapter's name or by a component's own name.

    In a fleet with releases, `acme` is the version that answers, and `acme@3f9a` the one with that digest.

    The routes are read, then a record: most components are named `<prefix>-<adapter>`. For other names the
    desired state is read, and all records only for names that it does not have.
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
        hint = "; a prompt comes last" if " " in name else did_you_mean(name, self.known)
        return CommandError(f"the fleet has no adapter '{name}'{hint}")

    @property
    def known(self) -> Set[str]:
        """The names of all adapters, and of their components."""
        return {*self._names.values(), *self._names}

    @property
    def has_routes(self) -> bool:
        """True if a route says which version of an adapter answers."""
        return any(self._routes)

    def route(self, adapter: str) -> Route | None:
        """Return the route of an adapter; None if it is updated in place. Raises UnreadableError."""
        routes, unreadable, _ = self._routes
        if adapter in unreadable:
            raise UnreadableError(unreadable[adapter])
        return routes.get(adapter)

    def component_of_events(self, name: str) -> str:
        """Return the component of an adapter that the fleet has or had. Raises CommandError for none."""
        component = self._find(name)
        if component is None:
            component = self._default_component(name)
            if not self._fleet.registry.events.newest(component, 1):
                raise self.unknown(name)
        return component

    def components_of_versions(self, name: str) -> list[str]:
        """Return the components of an adapter's versions, also of an adapter that is gone.

        A component that the manifest declares stands for its adapter, and each other one for itself.
        """
        adapter = self._desired.get(name, name)
        found = [self._find(name) or name, self._default_component(adapter)]
        if self.has_routes:
            route = self.route(adapter)
            found += [] if route is None else [version.component for version in route.all_versions]
            found += [component for component, other in self._names.items() if other == adapter]
        return [*dict.fromkeys(found)]

    def component(self, name: str) -> str:
        """Return the component of a name, also of an adapter that is gone."""
        return self._find(name) or self._default_component(name)

    def _find(self, name: str) -> str | None:
        adapter, _, version = name.partition("@")
        route = self.route(adapter)
        if route is not None:
            named = [
                one.component for one in route.all_versions if not version or is_named(one.artifact, version)
            ]
            return next(iter(named), None)
        component = self._default_component(name)
        record = self._fleet.registry.records.find(component)
        # While the manifest moves an adapter to another component, the old one is counted for deletion.
        if record is not None and record.name == name and record.counted is None:
            return component
        return _component_in(self._desired, name) or _component_in(self._names, name)

    def _name_of(self, component: str) -> str:
        return self._desired.get(component) or self._names[component]

    def _default_component(self, name: str) -> str:
        prefix = self._newest.request.target.prefix
        if not prefix or name.startswith(adapter_component(prefix, "")):
            return name
        try:
            return component_name(prefix, name)
        except ValueError:
            return name

    @cached_property
    def _routes(self) -> StoredRoutes:
        """The routes. They stay where releases are off."""
        return self._fleet.registry.routes.read()

    @cached_property
    def _desired(self) -> dict[str, str]:
        """The names of the adapters that the manifest in force declares, by component."""
        registry = self._fleet.registry
        desired = desired_by(registry, in_force(registry, self._newest)).adapters
        return {adapter.component: adapter.name for adapter in desired}

    @cached_property
    def _names(self) -> dict[str, str]:
        """The names of all adapters by component. Those of the manifest win."""
        records = self._fleet.registry.records.all().values()
        return {record.component: record.name for record in records} | self._desired


def _component_in(names: Mapping[str, str], name: str) -> str | None:
    """Return the component of an adapter's name or of its own name; None if there is none."""
    found = (component for component, adapter in names.items() if adapter == name)
    return next(found, name if name in names else None)


def complete_adapter(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of a fleet's adapters that begin so; none if no fleet is named or AWS gives none."""
    try:
        fleet = find_fleet(account_of(context))
        names = {record.name for record in fleet.registry.records.all().values()}
    except (CommandError, BotoCoreError, ClientError, UnreadableError):
        return []
    return sorted(name for name in names if name.startswith(incomplete))


AdapterArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="The adapter's name, or its component's.", autocompletion=complete_adapter
    ),
]
OneComponentOption = Annotated[
    str | None,
    typer.Option("--component", "-c", metavar="NAME", help="A component, also of no fleet."),
]
