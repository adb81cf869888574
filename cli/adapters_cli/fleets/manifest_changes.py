"""What a manifest would change on the live endpoint."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.deletion_guard import components_an_hour_before
from adapter_fleet.fleet.planning.desired_state import without_failures
from adapter_fleet.fleet.planning.fleet_view import FleetView
from adapter_fleet.fleet.planning.observe import (
    base_trouble,
    known_foreign,
    merge_listing,
    why_foreign,
    with_description,
    with_known_spellings,
    with_tags,
)
from adapter_fleet.fleet.planning.releases import Versions, first_share, is_superseded, share_to_come
from adapter_fleet.fleet.planning.settle import with_new_attempts
from adapter_fleet.fleet.state.failures import Failure
from adapter_fleet.fleet.state.fleet_settings import ReleaseSettings
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.routes import Route
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, DesiredFleet
from adapters_cli.aws.account import Account, find_quota, is_component_quota
from adapters_cli.aws.components import EndpointComponents
from adapters_cli.fleets.base_component import BRIEFLY
from adapters_cli.fleets.fleet_lookup import Fleet, newest_generation
from adapters_cli.fleets.fleet_status import desired_by, in_force
from adapters_cli.output.errors import CommandError
from adapters_cli.output.text import print_error

_MAX_ROUNDS = 5
"""A component is listed, then its tags are read, then it is described."""


class Action(StrEnum):
    """What a manifest would do to one adapter."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    """Delete and create again."""
    DELETE = "delete"
    RETRY = "retry"
    """Try again after a failure."""
    CLAIM = "claim"
    TAG = "tag"
    ROUTE = "route"
    """Send other callers to it."""
    PROBE = "probe"
    """Ask it for its probe, which is another one by now."""
    WAIT = "wait"
    """A write is in progress, and the next step depends on its end."""
    KEEP = "keep"
    FAILED = "failed"
    """It failed, and would not be tried again."""
    FOREIGN = "foreign"
    """Its component belongs to someone else."""
    UNUSABLE = "unusable"
    """Its archive in S3 is missing, or differs from what was recorded."""


_SENDS = (Action.CREATE, Action.UPDATE, Action.REPLACE, Action.RETRY)
FAILURES = (Action.FAILED, Action.FOREIGN, Action.UNUSABLE)


@dataclass(frozen=True, kw_only=True)
class AdapterChange:
    """What a manifest would do to one adapter, from which version to which.

    before, after:
        Short names of the versions `before_artifact` and `after_artifact`.
    fails:
        True if the adapter is known to fail because of this manifest: the fleet wants another artifact of it
        at present, or none.
    """

    name: str
    component: str
    action: Action
    before: str | None
    after: str | None
    why: str | None = None
    fails: bool = False
    before_artifact: Artifact | None = None
    after_artifact: Artifact | None = None


@dataclass(frozen=True, kw_only=True)
class ManifestChanges:
    """What a manifest would change, and what prevents it.

    refused:
        Why a guard would refuse the manifest.
    trouble:
        Why the fleet would change nothing for now, or would not create all adapters.
    room:
        How many components the endpoint would have, and its quota; None if none is added, or without one.
    """

    changes: Sequence[AdapterChange] = ()
    refused: str | None = None
    trouble: str | None = None
    room: str | None = None

    @property
    def failing(self) -> list[AdapterChange]:
        """The changes that are known to fail."""
        return [change for change in self.changes if change.fails]


def accepted_changes(fleet: Fleet, target: Target, desired: DesiredFleet) -> ManifestChanges:
    """Return what a manifest would change, and print what keeps the fleet from it for now.

    Raises CommandError if the fleet would refuse the manifest.
    """
    planned = changes_of_manifest(fleet, target, desired)
    if planned.refused is not None:
        raise CommandError(f"the fleet would refuse it: {planned.refused}")
    if planned.trouble is not None:
        print_error(planned.trouble)
    return planned


def changes_of_manifest(fleet: Fleet, target: Target, desired: DesiredFleet) -> ManifestChanges:
    """Return what a desired state would change, from the live endpoint, the registry and S3.

    Runs the same plan as the fleet's passes. Nothing is written.
    """
    registry, components = fleet.registry, EndpointComponents(fleet.account, target.endpoint)
    now = fleet.account.now()
    stored, (routes, unreadable, _) = registry.records.all(), registry.routes.read()
    context = PlanContext(
        now=now,
        generation=fleet.record.generation + 1,
        target=target,
        deletes=True,
        since=now,  # an execution would begin
    )
    view = FleetView.of(
        desired.adapters, registry.orders.all(), stored, context, routes=routes, unreadable=unreadable
    )
    wanted, versions, stored = view.desired.wanted, view.desired.versions, dict(view.records)
    listing = with_known_spellings(components.listed(), stored, stored.keys() | wanted.keys())
    # As a pass begins.
    begun = {**stored, **without_failures(stored, view.desired.attempts)}
    seen = merge_listing(begun, listing, base=target.base)
    # As in a pass: a generation does not count foreign components.
    records = {
        component: with_new_attempts(record) if component in wanted else record
        for component, record in seen.items()
        if component in wanted or component in stored
    }
    foreign = known_foreign(
        fleet.record.foreign, records.keys() | wanted.keys(), read_until=fleet.record.pass_ended
    )
    view = replace(view, records=records, context=replace(view.context, foreign=foreign))
    view = _observed(components, view, fleet.record.uid)
    changes, sent = [], {}
    for component, decision in view.plan().decisions.items():
        want, record = wanted.get(component), view.next_step(component).record
        if want is None and decision.step in (Step.FOREIGN, Step.FORGET, Step.READ_TAGS):
            continue
        if component in stored and is_superseded(versions, stored[component]):
            continue  # the fleet deletes it in its time, whatever the manifest says
        failure = seen[component].failure if component in seen else None
        change = _change(record, want, decision, failure)
        if change.action is Action.CREATE and change.name in routes:
            live = routes[change.name].live.artifact
            change = replace(change, before=live.version, before_artifact=live)
            if want is not None and versions.is_declared(record) and not change.why:
                share = first_share(versions, versions.routes[change.name], component, want.artifact)
                change = replace(change, why=_for_callers(share, want.percent, versions.releases))
        if change.action is Action.KEEP and want is not None:
            change = _routed(change, versions, routes.get(change.name), record, decision, want)
        artifact = decision.artifact or (want.artifact if want is not None else None)
        if change.action in _SENDS and artifact is not None and _is_uploaded(artifact):
            sent[component] = artifact
        changes.append(change)
    unusable = components.unusable(sent.values(), registry)
    new = _new_artifacts(fleet, desired)
    changes = [
        _with_problem(change, unusable.get(sent[change.component]) if change.component in sent else None, new)
        for change in changes
    ]
    trouble = base_trouble(target.base, listing.get(target.base))
    if trouble is not None:
        trouble = f"{trouble}, and the fleet changes nothing before it is in service"
    room, is_over = _room(fleet.account, changes, len(listing))
    newest = registry.generations.find(fleet.record.generation)
    hour_ago = components_an_hour_before(fleet.account.now(), newest, registry)
    return ManifestChanges(
        changes=_in_order(changes),
        refused=view.refusal(hour_ago=hour_ago),
        trouble=trouble or (f"{room}: the fleet creates as many as there is room for" if is_over else None),
        room=room,
    )


def with_lost_archives(fleet: Fleet, planned: ManifestChanges, endpoint: str) -> ManifestChanges:
    """Return the changes, with the adapters that stay and whose archives are gone. S3 is asked for each."""
    kept = {
        change.component: change.before_artifact
        for change in planned.changes
        if change.action is Action.KEEP and change.before_artifact is not None
    }
    lost = EndpointComponents(fleet.account, endpoint).lost_archives(kept, fleet.registry)
    changes = [change for change in planned.changes if change.component not in lost]
    changes += [
        replace(change, action=Action.UNUSABLE, why=lost[change.component])
        for change in planned.changes
        if change.component in lost
    ]
    return replace(planned, changes=_in_order(changes))


def _in_order(changes: Iterable[AdapterChange]) -> list[AdapterChange]:
    order = list(Action)
    return sorted(changes, key=lambda change: (order.index(change.action), change.name))


def _routed(
    change: AdapterChange,
    versions: Versions,
    before: Route | None,
    record: AdapterRecord,
    decision: Decision,
    want: DesiredAdapter,
) -> AdapterChange:
    """Return the change of an adapter that stays: callers may be sent to it, or its probe may be another."""
    share = share_to_come(versions, before, record, decision)
    if before is not None and share is not None:
        live, why = before.live.artifact, _for_callers(share, want.percent, versions.releases)
        return replace(change, action=Action.ROUTE, before=live.version, before_artifact=live, why=why)
    serving = record.serving
    if versions.is_declared(record) and serving is not None and serving.probe != want.artifact.probe:
        return replace(change, action=Action.PROBE, why="its probe is another one")
    return change


def _for_callers(percent: int, declared: int | None, releases: ReleaseSettings) -> str:
    """Return the share of a version, and the next ones if a canary takes the steps."""
    canary = releases.canary if declared is None else None
    later = [] if canary is None else [f"{step} %" for step in canary.steps if step > percent]
    steps = f", then {', '.join([*later, 'all'])}" if canary is not None and percent < 100 else ""
    return f"for {percent} % of the callers{steps}"


def _room(account: Account, changes: Iterable[AdapterChange], there: int) -> tuple[str | None, bool]:
    """Return how many components there would be beside their quota, and whether these are too many.

    With releases, a version is a component beside the earlier ones.
    """
    actions = Counter(change.action for change in changes)
    needed = there + actions[Action.CREATE] - actions[Action.DELETE]
    if not actions[Action.CREATE]:
        return None, False
    try:
        quota = find_quota(account.client("service-quotas", BRIEFLY), is_component_quota)
    except (BotoCoreError, ClientError):
        return None, False  # not everybody may read quotas, or has a route to them
    if quota is None:
        return None, False
    limit = f"the quota '{quota['QuotaName']}' is {quota['Value']:g}"
    room = f"{limit}, and {needed} components would be on the endpoint"
    return room, needed > quota["Value"]


def _observed(components: EndpointComponents, view: FleetView, uid: str) -> FleetView:
    """Plan and observe in turns until nothing is unknown, and count what the manifest deletes."""
    claimed: set[str] = set()
    for _ in range(_MAX_ROUNDS):
        made = view.plan()
        # As in a pass: a component is described, and its tags are read, before the fleet adopts it.
        claims = set(made.components(Step.CLAIM)) - claimed
        claimed |= claims
        if not made.unknown and not claims:
            break
        undescribed = [*made.components(Step.LOOK), *claims]
        unread = [*made.components(Step.READ_TAGS), *claims]
        view = _observe(components, view, undescribed, unread, uid)
    view = view.with_records(view.counted())
    # As in a pass: a component that the fleet did not create is described right before its deletion.
    return _observe(components, view, view.plan().components(Step.LOOK), (), uid)


def _is_uploaded(artifact: Artifact) -> bool:
    """Return True if an archive should be in S3 already. A deployment uploads those of this machine."""
    return (artifact.source or artifact.uri).startswith("s3://")


def _observe(
    components: EndpointComponents,
    view: FleetView,
    undescribed: Iterable[str],
    unread: Iterable[str],
    uid: str,
) -> FleetView:
    """Return the view with the descriptions and the tags of components, as a pass reads them."""
    records, now = dict(view.records), view.context.now
    for component, live in components.described(undescribed).items():
        records[component] = with_description(records[component], live, now=now)
    lives = {component: live for component in unread if (live := records[component].live) is not None}
    tags = components.tags(lives)
    foreign = dict(view.context.foreign)
    for component, live in lives.items():
        if component not in tags:
            records[component] = with_description(records[component], None, now=now)
            continue
        records[component] = with_tags(records[component], live, tags[component], uid=uid, now=now)
        if records[component].owned is None:
            foreign[component] = live.created
    return replace(view, records=records, context=replace(view.context, foreign=foreign))


def _new_artifacts(fleet: Fleet, desired: DesiredFleet) -> frozenset[str]:
    """Return the components that the fleet does not want with the same artifact at present."""
    active = in_force(fleet.registry, newest_generation(fleet))
    present = {adapter.component: adapter.artifact for adapter in desired_by(fleet.registry, active).adapters}
    return frozenset(
        adapter.component
        for adapter in desired.adapters
        if not adapter.artifact.same_as(present.get(adapter.component))
    )


def _with_problem(change: AdapterChange, problem: str | None, new: Collection[str]) -> AdapterChange:
    """Return a change with the problem of its archive, and with `fails`."""
    if problem is not None:
        change = replace(change, action=Action.UNUSABLE, why=problem)
    return replace(change, fails=change.action in FAILURES and change.component in new)


_ACTIONS = {
    Step.KEEP: Action.KEEP,
    Step.SMOKE: Action.KEEP,
    Step.PROBE: Action.KEEP,
    Step.ASK: Action.KEEP,
    Step.ASLEEP: Action.KEEP,
    Step.CONFIRM: Action.KEEP,
    Step.CREATE: Action.CREATE,
    Step.UPDATE: Action.UPDATE,
    Step.DELETE: Action.DELETE,
    Step.HOLD: Action.DELETE,
    Step.CLAIM: Action.CLAIM,
    Step.RETAG: Action.TAG,
    Step.FAILED: Action.FAILED,
    Step.FOREIGN: Action.FOREIGN,
    Step.STUCK: Action.WAIT,
}


def _change(
    record: AdapterRecord, want: DesiredAdapter | None, decision: Decision, failure: Failure | None
) -> AdapterChange:
    """Return what the plan would do to an adapter. `failure` is the one that the registry has."""
    action = _ACTIONS.get(decision.step, Action.WAIT)
    if want is not None:
        if action is Action.DELETE:
            action = Action.REPLACE
        elif failure is not None and failure.artifact.same_as(want.artifact):
            again = action in (Action.CREATE, Action.UPDATE) and not decision.restores
            if again or (action is Action.FAILED and decision.until is not None):
                action = Action.RETRY
    artifact = decision.artifact or (want.artifact if want is not None else None)
    return AdapterChange(
        name=want.name if want is not None else record.name or record.component,
        component=record.component,
        action=action,
        before=record.serving.version if record.serving is not None else None,
        after=artifact.version if artifact is not None else None,
        before_artifact=record.serving,
        after_artifact=artifact,
        why=_reason(record, decision, action, failure),
    )


def _reason(record: AdapterRecord, decision: Decision, action: Action, failure: Failure | None) -> str | None:
    if action is Action.RETRY and failure is not None:
        return failure.reason
    if action is Action.FAILED and record.failure is not None:
        again = f"'adapters apply --retry {record.name or record.component}' lets it be tried again"
        return f"{record.failure.reason}; {again}"
    if action is Action.FOREIGN:
        return why_foreign(record)
    artifact = decision.artifact
    if action is Action.UPDATE and artifact is not None and artifact.same_version_as(record.serving):
        return decision.why or f"the same archive at {artifact.uri}"
    return decision.why or record.drifted
