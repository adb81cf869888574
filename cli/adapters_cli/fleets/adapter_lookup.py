"""Finding the adapters that a person names, and the argument that names one."""

from collections.abc import Collection, Iterable, Mapping, Set
from contextlib import suppress
from functools import cached_property
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.naming import adapter_component, component_name, did_you_mean, is_of_version
from adapter_fleet.fleet.state.generations import Generation
from adapter_fleet.fleet.state.known_versions import served_versions
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.routes import Route, StoredRoutes
from adapter_fleet.fleet.state.rows.row import UnreadableError
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from adapters_cli.aws.account import account_of
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet
from adapters_cli.fleets.fleet_status import desired_by, in_force
from adapters_cli.fleets.versions import is_named
from adapters_cli.output.errors import CommandError

BASE = "base"
"""The name of a fleet's base model in the output of commands."""
NEW, BEFORE = "new", "before"
"""What names the version that the manifest declares, and the one that served before it."""


class AdapterLookup:
    """Finds components of a fleet by an adapter's name or by a component's own name.

    `acme` is the component that answers most of its callers. `acme@3f9a` is the one with the version of that
    digest, `acme@new` with the one that the manifest declares, and `acme@before` with the one before that.

    The routes are read, then a record: most components are named `<prefix>-<adapter>`. For other names the
    desired state is read, and all records only for names that it does not have.
    """

    def __init__(self, fleet: Fleet, newest: Generation) -> None:
        self._fleet, self._newest = fleet, newest

    def find(self, names: Iterable[str]) -> dict[str, str]:
        """Return what people call components, by component, in the order given.

        A version is called `acme@3f9a01c2d4e5`, and an adapter by its name. Raises CommandError with unknown
        names.
        """
        return dict(self.find_each(names))

    def find_each(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Return the component of each name, and what people call it; the same component may come twice."""
        found, unknown = [], []
        for name in dict.fromkeys(names):
            try:
                found.append(self._named(name))
            except CommandError as error:
                unknown.append(str(error))
        if unknown:
            raise CommandError("\n".join(unknown))
        return found

    def find_version(self, adapter: str, named: str) -> Artifact | None:
        """Return the version of an adapter that `named` means: `new`, `before`, or one as people name it.

        Returns None for one that the fleet does not know. Raises CommandError if it means several.
        """
        declared = self._declared(adapter)
        present = None if declared is None else declared.artifact
        if named == NEW:
            return present
        if named == BEFORE:
            served = served_versions(self._records_of(adapter), self.route(adapter))
            return next((each for each in served if not each.same_version_as(present)), None)
        found = [each for each in self.versions(adapter) if is_named(each, named)]
        if len(found) > 1:
            raise CommandError(f"'{named}' names several versions of '{adapter}'")
        return found[0] if found else None

    def versions(self, adapter: str) -> list[Artifact]:
        """Return the versions that the fleet knows of an adapter, the declared one first."""
        route, records, declared = self.route(adapter), self._records_of(adapter), self._declared(adapter)
        known = [
            *(() if declared is None else (declared.artifact,)),
            *(() if route is None else (one.artifact for one in route.all_versions)),
            *(record.serving for record in records if record.serving is not None),
            *served_versions(records, route),
        ]
        found: list[Artifact] = []
        for version in known:
            if not any(map(version.same_version_as, found)):
                found.append(version)
        return found

    def component_with(self, adapter: str, version: Artifact) -> str | None:
        """Return the component that has a version of an adapter; None if there is none."""
        route = self.route(adapter)
        records = {record.component: record for record in self._records_of(adapter)}
        for one in () if route is None else route.all_versions:
            # A route lists versions whose components are gone, too.
            if one.artifact.same_version_as(version) and one.component in records:
                return one.component
        for component, record in records.items():
            if version.same_version_as(record.serving):
                return component
            if version.digest is not None and is_of_version(component, version.digest):
                return component  # it has not come into service
        return None

    def adapter_of(self, component: str) -> str | None:
        """Return the name of the adapter that a component is of; None if the fleet does not have it."""
        return self._desired.get(component) or self._names.get(component)

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
        component = self._named(name)[0] if "@" in name else self.component(name)
        if component not in self._names and not self._fleet.registry.events.newest(component, 1):
            raise self.unknown(name)
        return component

    def components_of_versions(self, name: str) -> list[str]:
        """Return the components of an adapter's versions, also of an adapter that is gone.

        A component that the manifest declares stands for its adapter, and each other one for itself.
        """
        adapter = self._desired.get(name, name)
        found = [(self._find(name) or (name,))[0], self._default_component(adapter)]
        if self.has_routes:
            route = self.route(adapter)
            found += [] if route is None else [version.component for version in route.all_versions]
            found += [component for component, other in self._names.items() if other == adapter]
        return [*dict.fromkeys(found)]

    def component(self, name: str) -> str:
        """Return the component of a name, also of an adapter that is gone."""
        with suppress(CommandError):
            return self._named(name)[0]
        return self._default_component(name)

    def _named(self, name: str) -> tuple[str, str]:
        """Return the component of a name, and what people call it. Raises CommandError for an unknown one."""
        found, (adapter, at, named) = self._find(name), name.partition("@")
        if found is not None:
            return found
        adapter = self.adapter_of(adapter) or adapter
        if not at or (adapter not in self.known and self.route(adapter) is None):
            raise self.unknown(name)
        version = self.find_version(adapter, named)
        if version is None:
            known = ", ".join(each.version for each in self.versions(adapter))
            raise CommandError(f"adapter '{adapter}' has no version '{named}'; it has {known}")
        component = self.component_with(adapter, version)
        if component is None:
            raise CommandError(self._without_component(adapter, version))
        return component, f"{adapter}@{version.version}"

    def _without_component(self, adapter: str, version: Artifact) -> str:
        """Return that no component has a version, and what helps."""
        declared = self._declared(adapter)
        helps = f"'adapters rollback {adapter} --to {version.version}' loads it"
        if declared is not None and version.same_version_as(declared.artifact):
            helps = f"'adapters status {adapter}' says why"
        return f"no component has version {version.version} of adapter '{adapter}'; {helps}"

    def _find(self, name: str) -> tuple[str, str] | None:
        """Return the component of an adapter's name or of its own name, and what people call it."""
        route = self.route(name)
        if route is not None:
            return route.live.component, name
        component = self._default_component(name)
        record = self._fleet.registry.records.find(component)
        # While the manifest moves an adapter to another component, the old one is counted for deletion.
        if record is not None and record.counted is None and name in (record.name, component):
            return component, self._name_of(component) if name == component else name
        staying = {record.component: record.name for record in self._records if record.counted is None}
        if name in self._desired and name not in staying:
            route = self.route(self._desired[name])
            if route is not None:  # it stands for its adapter
                return route.live.component, self._desired[name]
        for names in (staying, self._desired, self._names):
            if (found := _component_in(names, name)) is not None:
                return found, self._name_of(found) if found == name else name
        return None

    def _name_of(self, component: str) -> str:
        """Return what people call a component: its adapter, or in a fleet with releases a version of it."""
        adapter = self.adapter_of(component) or component
        try:
            route = self.route(adapter)
        except UnreadableError:
            return adapter
        if route is None:
            return adapter
        for version in self.versions(adapter):
            if self.component_with(adapter, version) == component:
                return f"{adapter}@{version.version}"
        return adapter

    def _declared(self, adapter: str) -> DesiredAdapter | None:
        return next((each for each in self._manifest if each.name == adapter), None)

    def _records_of(self, adapter: str) -> list[AdapterRecord]:
        return [record for record in self._records if record.name == adapter]

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
    def _manifest(self) -> Collection[DesiredAdapter]:
        """The adapters that the manifest in force declares."""
        registry = self._fleet.registry
        return desired_by(registry, in_force(registry, self._newest)).adapters

    @cached_property
    def _records(self) -> Collection[AdapterRecord]:
        return self._fleet.registry.records.all().values()

    @cached_property
    def _desired(self) -> dict[str, str]:
        """The names of the adapters that the manifest in force declares, by component."""
        return {adapter.component: adapter.name for adapter in self._manifest}

    @cached_property
    def _names(self) -> dict[str, str]:
        """The names of all adapters by component. Those of the manifest win."""
        return {record.component: record.name for record in self._records} | self._desired


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
