"""Manifest entries of adapters that exist already."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from adapter_fleet.common.naming import adapter_component
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.manifest.desired import DesiredFleet
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import (
    ManifestAdapter,
    ManifestError,
    S3Artifact,
    common_values,
    named_digest,
)


def names_of(components: Collection[str], prefix: str | None, taken: Iterable[str]) -> dict[str, str]:
    """Return adapters' names by component: without the prefix, unless two adapters would have one name.

    `taken` are names of other adapters. Names are compared without regard to case.
    """
    start = "" if prefix is None else adapter_component(prefix, "")
    short = {name: name.removeprefix(start) for name in components}
    uses = Counter({name.casefold(): 1 for name in taken})
    for name, without in short.items():
        uses.update({name.casefold(), without.casefold()})
    return {name: without if uses[without.casefold()] == 1 else name for name, without in short.items()}


def entry_of(
    component: str, name: str, *, prefix: str | None, uri: str, digest: str, tags: Mapping[str, str]
) -> ManifestAdapter:
    """Return the entry of a component that was created by hand."""
    artifact = S3Artifact(uri=uri)
    default = None if prefix is None else adapter_component(prefix, name)
    return ManifestAdapter(
        name=name,
        artifact=artifact,
        digest=None if named_digest(artifact) == digest else digest,
        tags={key: value for key, value in tags.items() if not key.startswith("aws:")},
        component=None if component == default else component,
    )


def entries_of(desired: DesiredFleet, target: Target) -> list[ManifestAdapter]:
    """Return the entries of a fleet's desired state. For this target they resolve to that state again."""
    entries = []
    for adapter in desired.adapters:
        artifact = S3Artifact(uri=adapter.artifact.uri)
        digest = adapter.artifact.digest
        by_name = adapter_component(target.prefix, adapter.name)
        entries.append(
            ManifestAdapter(
                **common_values(adapter.artifact, ManifestAdapter)
                | common_values(adapter, ManifestAdapter)
                | {
                    "artifact": artifact,
                    "digest": None if named_digest(artifact) == digest else digest,
                    "smoke": None if adapter.smoke == target.settings.smoke else adapter.smoke or False,
                    "component": None if adapter.component == by_name else adapter.component,
                }
            )
        )
    return entries


def valid_entries(
    entries: Iterable[ManifestAdapter], *, beside: Iterable[ManifestAdapter] = ()
) -> tuple[list[ManifestAdapter], list[str]]:
    """Return the entries that can be in one manifest with those `beside`, and why the others cannot."""
    taken: dict[tuple[str, str], str] = {}
    for adapter in beside:
        taken |= _keys(adapter)
    good, problems = [], []
    for adapter in entries:
        clashes = _keys(adapter).keys() & taken.keys()
        if clashes:
            what, _ = clash = max(clashes)
            problems.append(f"{adapter.component or adapter.name}: adapter '{taken[clash]}' has its {what}")
            continue
        try:
            Manifest.of([adapter])
        except ManifestError as error:
            problems += [finding.message for finding in error.findings]
            continue
        taken |= _keys(adapter)
        good.append(adapter)
    return good, problems


def _keys(adapter: ManifestAdapter) -> dict[tuple[str, str], str]:
    """Return what must be unique in a manifest, without regard to case."""
    keys = {("name", adapter.name.casefold()): adapter.name}
    if adapter.component is not None:
        keys["component", adapter.component.casefold()] = adapter.name
    return keys
