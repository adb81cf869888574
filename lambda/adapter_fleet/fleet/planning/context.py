"""The context of a plan: what decisions depend on besides the component itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter_fleet.fleet.state.failures import Failure
from adapter_fleet.fleet.state.fleet_settings import UpdateMode
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import DesiredAdapter


@dataclass(frozen=True, kw_only=True)
class PlanContext:
    """What decisions depend on besides the component itself.

    tags:
        Tags of every component of the fleet, in addition to its own tags.
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
    """

    now: float
    generation: int
    endpoint: str
    base: str
    tags: Mapping[str, str] = field(default_factory=dict)
    update_mode: UpdateMode = UpdateMode.IN_PLACE
    deletes: bool = False
    foreign: Mapping[str, float] = field(default_factory=dict)
    claims: Mapping[str, float] = field(default_factory=dict)
    has_copies: bool = True
    spares_changes: bool = False

    @classmethod
    def of(
        cls,
        target: Target,
        *,
        now: float,
        generation: int,
        foreign: Mapping[str, float],
        claims: Mapping[str, float],
        deletes: bool = True,
        has_copies: bool = True,
        spares_changes: bool = False,
    ) -> "PlanContext":
        """Return the context of a generation with this target; by default, everything else is settled."""
        return cls(
            now=now,
            generation=generation,
            endpoint=target.endpoint,
            base=target.base,
            tags=target.tags,
            update_mode=target.settings.update_mode,
            deletes=deletes,
            foreign=foreign,
            claims=claims,
            has_copies=has_copies,
            spares_changes=spares_changes,
        )


def tags_of(want: DesiredAdapter, context: PlanContext) -> dict[str, str]:
    """Return all tags of a component but the one that marks the fleet; those of the adapter win."""
    return {**context.tags, **want.tags}


def is_elsewhere(placed: AdapterRecord | Failure, here: PlanContext | Target) -> bool:
    """Return True if a component runs, or an attempt failed, on another endpoint or base than this one."""
    return placed.endpoint not in (None, here.endpoint) or placed.base not in (None, here.base)
