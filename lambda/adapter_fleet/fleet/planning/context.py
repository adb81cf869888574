"""The context of a plan: what decisions depend on besides the component itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter_fleet.fleet.state.failures import Failure
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import DesiredAdapter


@dataclass(frozen=True, kw_only=True)
class PlanContext:
    """What decisions depend on besides the component itself.

    target:
        Where the generation has the components, and the settings of the fleet.
    deletes:
        True if unwanted components are deleted now. Before that, everything else is settled.
    foreign:
        Creation times of the components that are known to belong to someone else, by name.
    claims:
        Creation times of the components that someone ordered to take over, by name.
    has_copies:
        False if no copy of the base model answers, as it is scaled to zero. Requests wait until one does.
    spares_changes:
        True if what somebody changed by hand stays as it is.
    since:
        When the execution began. A listing does not show what became of a creation before that.
    """

    now: float
    generation: int
    target: Target
    deletes: bool = False
    foreign: Mapping[str, float] = field(default_factory=dict)
    claims: Mapping[str, float] = field(default_factory=dict)
    has_copies: bool = True
    spares_changes: bool = False
    since: float = 0.0


def tags_of(want: DesiredAdapter, context: PlanContext) -> dict[str, str]:
    """Return all tags of a component but the one that marks the fleet; those of the adapter win."""
    return {**context.target.tags, **want.tags}


def is_elsewhere(placed: AdapterRecord | Failure, target: Target) -> bool:
    """Return True if a component runs, or an attempt failed, on another endpoint or base than this one."""
    return placed.endpoint not in (None, target.endpoint) or placed.base not in (None, target.base)
