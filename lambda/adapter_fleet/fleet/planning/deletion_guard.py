"""The deletion guard: what a generation may delete."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from adapter_fleet.common.counts import noun_of
from adapter_fleet.fleet.planning.context import is_elsewhere
from adapter_fleet.fleet.state.configuration import REMEMBERED_SECONDS
from adapter_fleet.fleet.state.fleet_settings import DeletionLimit
from adapter_fleet.fleet.state.generations import Generation, Target
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.manifest.desired import DesiredAdapter


def refusal(
    records: Mapping[str, AdapterRecord],
    wanted: Mapping[str, DesiredAdapter],
    target: Target,
    *,
    hour_ago: Collection[str],
) -> str | None:
    """Return why a guard refuses a generation, with the setting that allows it; None if no guard does.

    hour_ago:
        What `components_an_hour_before` returns.
    """
    existing = {component: record for component, record in records.items() if _may_exist(record)}
    present = {
        component: record
        for component, record in existing.items()
        if not _is_spared(record, wanted.get(component))
    }
    if not target.settings.allow_base_replacement:
        for component, record in sorted(present.items()):
            if is_elsewhere(record, target):
                return (
                    f"{component} and maybe more are on endpoint '{record.endpoint}' and base"
                    f" '{record.base}', and would have to be deleted and created on '{target.endpoint}'"
                    f" and '{target.base}'; put endpoint, construct id and 'component_prefix' back, or let"
                    " that happen with 'allow_base_replacement', without answers meanwhile"
                )
    renamed = _renamed_in_case(existing, wanted)
    if renamed is not None:
        return renamed
    limit = target.settings.deletions
    if present and not wanted and not limit.allow_empty:
        return (
            f"the manifest has no adapters, and the fleet has {len(present)}; 'deletion_guard' with"
            " 'allow_empty' lets all of them be deleted"
        )
    deleted = present.keys() - wanted.keys()
    reason = _too_many_deletions(len(deleted), len(present), limit)
    if reason is None and not deleted.isdisjoint(hour_ago):
        # One that has a record and no component never existed, or someone deleted it by hand.
        gone = [name for name in hour_ago if name not in wanted and (name in present or name not in records)]
        reason = _too_many_deletions(len(gone), len(hour_ago), limit, when="within an hour, ")
    return reason


def components_an_hour_before(time: float, newest: Generation | None, registry: Registry) -> frozenset[str]:
    """Return the components of the manifest that counted an hour before a time.

    newest:
        The newest generation to consider.
    """
    found = registry.lineage.admitted_before(time - REMEMBERED_SECONDS, newest)
    adapters = () if found is None else registry.generations.desired(found.number).adapters
    return frozenset(adapter.component for adapter in adapters)


def _renamed_in_case(existing: Collection[str], wanted: Collection[str]) -> str | None:
    """Return why a new spelling of an existing component is refused; None if there is none.

    SageMaker ignores the case of names: the deletion of one spelling would take the other one down.
    """
    spellings = {component.lower(): component for component in existing}
    for component in sorted(set(wanted) - set(existing)):
        before = spellings.get(component.lower())
        if before is not None:
            return (
                f"{before} would become {component}, and SageMaker ignores the case of names; keep the former"
                " spelling, or remove the adapter in one deployment (an orphan by 'adapters prune') and add"
                " it in the next"
            )
    return None


def _too_many_deletions(deleted: int, present: int, limit: DeletionLimit, when: str = "") -> str | None:
    if deleted <= limit.allowed(present):
        return None
    return (
        f"{when}{deleted} of {present} {noun_of(present, 'adapter')} would be deleted, and 'deletion_guard'"
        f" allows {100 * limit.share:g}%; 'adapters plan FILE' shows which; a higher share lets them be"
        " deleted"
    )


def count_deletions(
    records: Mapping[str, AdapterRecord],
    wanted: Mapping[str, DesiredAdapter],
    target: Target,
    *,
    generation: int,
    spares_adopted: bool = False,
) -> dict[str, AdapterRecord]:
    """Return the records that a generation counts for deletion, or spares, marked with its number.

    Call it once the guard has let the generation pass. A generation counts the components that it does not
    want, and those that it wants on another endpoint or base.

    spares_adopted:
        True if adopted components stay (`Generation.spares_adopted`). They are marked as spared instead, so
        that no later generation counts them either.
    """
    marked = {}
    for component, record in records.items():
        want = wanted.get(component)
        if not _may_exist(record) or _is_spared(record, want):
            continue
        if want is None and spares_adopted and record.adopted:
            marked[component] = replace(record, claimed=generation)
        elif want is None or is_elsewhere(record, target):
            marked[component] = replace(record, counted=generation)
    return marked


def _may_exist(record: AdapterRecord) -> bool:
    """Return True if the fleet has the component, or may have it.

    A write may be in flight, and a record that cannot be read tells nothing.
    """
    return record.is_own or record.unreadable is not None


def _is_spared(record: AdapterRecord, want: DesiredAdapter | None) -> bool:
    """Return True if no generation that wants a component has converged since the fleet took it over.

    The change that took it over was taken back, and its maker may still use it. Only an order deletes it.
    """
    return want is None and record.claimed is not None


def is_orphan(record: AdapterRecord, want: DesiredAdapter | None) -> bool:
    """Return True if no manifest wants a component of the fleet, and no guard has counted its deletion.

    A component with a write in flight is no orphan: the registry knows it.
    """
    return want is None and record.counted is None and record.intent is None
