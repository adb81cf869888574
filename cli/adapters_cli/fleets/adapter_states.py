"""The states of adapters: what each one is now, by records, routes and the desired state."""

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

from adapter_fleet.fleet.planning.canaries import due
from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.fleet_view import FleetView
from adapter_fleet.fleet.planning.proof import is_proven
from adapter_fleet.fleet.planning.releases import IN_PLACE_AGAIN
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.fleet_settings import ReleaseSettings
from adapter_fleet.fleet.state.generations import Generation, Outcome
from adapter_fleet.fleet.state.known_versions import served_versions
from adapter_fleet.fleet.state.records import AdapterRecord, FleetRecord, Order, OrderKind, Write
from adapter_fleet.fleet.state.routes import Route
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, DesiredFleet
from adapters_cli.output.text import few

MENDED_BY_DEPLOYMENT = "another deployment or manifest mends it"
MENDED_BY_ORDER = "'adapters apply --retry NAME' mends it, and so does a drift check with 'repair'"


class Proof(StrEnum):
    """What shows that the declared adapter answers, and nobody else."""

    PROBE = "probe"
    """It answered its probe, on each copy of the base model that the requests reached."""
    WEAKER = "weaker"
    """It has no probe. Its answer to the smoke request differs from the base model's."""
    NOT_DISTINGUISHED = "none"
    """It has no probe, and answers the smoke request as the base model does."""


class StateGroup(StrEnum):
    """The group that an adapter's state belongs to."""

    FAILED = "failed"
    PENDING = "pending"
    IN_SERVICE = "in-service"
    ORPHAN = "orphan"
    """It has the fleet's tag, and no manifest declares it."""


@dataclass(frozen=True, kw_only=True)
class AdapterState:
    """The state of one adapter, as `adapters status` shows it.

    version:
        Short name of the version that serves; None if none does.
    since:
        Start of the state: of the service, the failure or the write.
    retry_at:
        Time of the next automatic retry of a failed adapter.
    cause:
        Why it failed; None if it did not, or if nobody knows.
    settled:
        True if a deployment does not wait for this adapter any more.
    proof:
        What shows that the adapter itself answers; None if nothing was asked.
    asked_at:
        When the fleet last sent it a request; None if it never did.
    pinned:
        True if it was rolled back with `adapters rollback`.
    artifact:
        The version that serves.
    earlier:
        Versions that served before and that the manifest does not declare, newest first.
    percent, beside:
        The share of the callers that it answers, and the component that answers the others, if one does.
    until:
        When the fleet looks at the share again, or when what drains has gone; None if neither is to come.
    tags:
        As the manifest declares them; without a declaration, as they were last written.
    """

    name: str
    component: str
    group: StateGroup
    state: str
    version: str | None
    since: float | None
    reason: str | None = None
    retry_at: float | None = None
    cause: Cause | None = None
    settled: bool = True
    proof: Proof | None = None
    asked_at: float | None = None
    pinned: bool = False
    artifact: Artifact | None = None
    earlier: tuple[Artifact, ...] = ()
    percent: int = 100
    beside: str | None = None
    until: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def out_of_service(self, state: str, remedy: str, why: str | None = None) -> "AdapterState":
        """Return the state of an adapter that does not serve as declared, and that no pass is to mend."""
        reason = "; ".join(filter(None, (why, remedy.replace("NAME", self.name))))
        return replace(self, group=StateGroup.FAILED, state=state, reason=reason, settled=True)


def adapter_states(
    records: Mapping[str, AdapterRecord],
    desired: DesiredFleet,
    orders: list[Order],
    routes: Mapping[str, Route],
    fleet: FleetRecord,
    generation: Generation,
    now: float,
    *,
    kept: Set[str],
    unread_routes: Mapping[str, str],
) -> tuple[AdapterState, ...]:
    """Return the state of every adapter that is wanted or still exists, and of these `kept` versions."""
    context = PlanContext(
        now=now,
        generation=generation.number,
        target=generation.request.target,
        deletes=True,
        foreign=fleet.foreign,
        has_copies=fleet.base_copies > 0,
        since=fleet.runner_at,
    )
    view = FleetView.of(desired.adapters, orders, records, context, routes=routes, unreadable=unread_routes)
    view = view.with_records(view.superseded())  # the next pass counts them
    if generation.changes is None and generation.outcome is Outcome.OPEN:
        # The deletions that its guard will count if it passes.
        spares = generation.spares_adopted(converged=fleet.converged > 0)
        view = view.with_records(view.counted(spares_adopted=spares))
    wants = view.desired.wanted
    declared = {
        component: adapter
        for adapter in desired.adapters
        for component in view.desired.components_of([adapter.component])
    }
    by_name = {adapter.name: adapter for adapter in desired.adapters}
    retried = {order.component for order in orders if order.kind is OrderKind.RETRY}
    # With trouble, such as a base that is gone, a pass waits and mends. An order takes the drift back.
    idle = generation.outcome is Outcome.CONVERGED and fleet.trouble is None
    found = []
    for component in view.records.keys() | wants.keys():
        want, (record, _, decision) = wants.get(component), view.next_step(component)
        if decision.step is Step.FORGET or (want is None and decision.step is Step.FOREIGN):
            continue
        is_shown = component in declared or component in kept
        if want is not None and not is_shown and decision.step is Step.KEEP:
            continue  # an earlier version, to which a rollback goes back
        route = routes.get(record.name)
        state = _state(record, want, decision, waits=component in retried)
        if idle and component not in retried and record.drifted is not None and decision.step in _UNDONE:
            state = state.out_of_service(_drifted_word(record), MENDED_BY_ORDER, record.drifted)
        state = replace(
            state,
            artifact=record.serving,
            earlier=_earlier(record, route, by_name.get(record.name)),
            proof=_proof(record, want),
            asked_at=record.asked_at,
            tags=record.tags if want is None else {**generation.request.target.tags, **want.tags},
        )
        said = declared.get(component)
        if want is not None and said is not None and not want.artifact.same_version_as(said.artifact):
            state = _as_pinned(state, said)
        if route is not None:
            releases = generation.request.target.settings.releases
            state = _as_routed(state, route, releases, records, now, declared=said is not None)
        found.append(state)
    return in_order(found)


def in_order(states: Collection[AdapterState]) -> tuple[AdapterState, ...]:
    """Return the states by group, failed ones first, then by name."""
    order = list(StateGroup)
    return tuple(sorted(states, key=lambda state: (order.index(state.group), state.name)))


def _state(
    record: AdapterRecord, want: DesiredAdapter | None, decision: Decision, *, waits: bool
) -> AdapterState:
    state = partial(
        AdapterState,
        name=want.name if want is not None else record.name or record.component,
        component=record.component,
        version=record.serving.version if record.serving is not None else None,
    )
    if decision.step is Step.KEEP:
        return state(
            group=StateGroup.IN_SERVICE,
            state="in service",
            since=record.changed_at,
            reason=record.drifted
            or record.archive_trouble
            or (_NOT_DISTINGUISHED if _proof(record, want) is Proof.NOT_DISTINGUISHED else None),
        )
    if decision.step is Step.ORPHAN and want is None:
        return state(
            group=StateGroup.ORPHAN,
            state="orphan",
            since=record.owned,
            reason=f"{decision.why}; 'adapters prune {record.component}' deletes it",
        )
    if decision.step.fails and not waits:
        failure = record.failure if decision.step is Step.FAILED else None
        return state(
            group=StateGroup.FAILED,
            state=decision.step,
            since=failure.at if failure is not None else None,
            reason=(_reason(record, want, failure) if failure is not None else decision.why) or None,
            retry_at=decision.until,
            cause=None if failure is None else failure.cause,
            # The fleet describes a stuck adapter now and then. Nothing waits for it.
            settled=failure is None or failure.final,
        )
    return state(
        group=StateGroup.PENDING,
        state=_activity(record, decision),
        since=record.intent.at if record.intent is not None else None,
        reason=decision.why or record.drifted or (record.failure.reason if record.failure else None),
        # Only a request starts a copy; the fleet sends none for that.
        settled=decision.step is Step.ASLEEP,
    )


_UNDONE = {Step.CREATE, Step.UPDATE, Step.DELETE, Step.RETAG, Step.ASK}
"""What only a pass that repairs does about an adapter that a drift check found changed."""


def _drifted_word(record: AdapterRecord) -> str:
    if record.live is None:
        return "missing"
    return "changed" if record.recheck is None else "lost"


def _reason(record: AdapterRecord, want: DesiredAdapter | None, failure: Failure) -> str:
    """Return why an adapter failed, with the version that did if another one serves."""
    serving = record.serving
    if want is None or serving is None or serving.version in (None, want.artifact.version):
        return failure.reason
    return f"{want.artifact.version}: {failure.reason}"


_NOT_DISTINGUISHED = "its smoke request has the base model's answer, too; a probe would tell the two apart"


def _proof(record: AdapterRecord, want: DesiredAdapter | None) -> Proof | None:
    check = record.probed
    if check is None or want is None or not check.artifact.same_as(record.serving):
        return None
    if check.probe is not None:
        return Proof.PROBE if is_proven(record, want) else None
    if check.like_base is None:
        return None
    return Proof.NOT_DISTINGUISHED if check.like_base else Proof.WEAKER


def _earlier(
    record: AdapterRecord, route: Route | None, declared: DesiredAdapter | None
) -> tuple[Artifact, ...]:
    present = None if declared is None else declared.artifact
    versions = served_versions([record], route)
    return tuple(version for version in versions if not version.same_version_as(present))


_STEP_WORDS = {
    Step.CREATE: "creating",
    Step.UPDATE: "updating",
    Step.DELETE: "deleting",
    Step.HOLD: "deleting",
    Step.CLAIM: "claiming",
    Step.RETAG: "tagging",
}
_WRITE_WORDS = {Write.CREATE: "creating", Write.UPDATE: "updating", Write.DELETE: "deleting"}


def _activity(record: AdapterRecord, decision: Decision) -> str:
    if decision.step.fails:
        return "retrying"
    if decision.step is Step.ASLEEP:
        return "asleep"
    if decision.restores:
        return "restoring"
    if record.intent is not None:
        return _WRITE_WORDS[record.intent.write]
    if decision.step is Step.WAIT and record.live is not None:
        return record.live.status.lower()
    return _STEP_WORDS.get(decision.step, "checking")


def _as_routed(
    state: AdapterState,
    route: Route,
    releases: ReleaseSettings | None,
    existing: Collection[str],
    now: float,
    *,
    declared: bool,
) -> AdapterState:
    """Return the state of a version with its share of the callers, and what the fleet does about it next.

    releases:
        None if they are switched off: a candidate is about to lose its share.
    """
    live, candidate = route.live, route.candidate if releases is not None else None
    settled, beside, share = state.settled, live.component, 0
    until, answers = None, f"{live.artifact.version} answers"
    note = f"{answers} meanwhile" if declared else f"it is kept; {answers}"
    leaving = {
        component: moment
        for component, moment in route.drained_at(releases or IN_PLACE_AGAIN).items()
        if moment > now and component in existing
    }
    if state.component == live.component:
        share, beside = 100, ""
        until = max(leaving.values(), default=None)
        note = f"{few(sorted(leaving))} {'drains' if len(leaving) == 1 else 'drain'}" if leaving else ""
        if candidate is not None:
            share, beside, until = 100 - candidate.percent, candidate.component, None
            note = f"it answers {share} % of the callers, {candidate.artifact.version} the others"
    elif candidate is not None and releases is not None and candidate.component == state.component:
        share, until = candidate.percent, due(candidate, releases)
        settled = settled and until is None
        note = f"it answers {share} % of the callers, {live.artifact.version} the others"
        note += f"; {candidate.held}" if candidate.held else ""
    elif state.component in leaving:
        until, note = leaving[state.component], f"it drains; {answers}"
    reason = "; ".join(filter(None, (note, state.reason)))
    return replace(
        state, percent=share, beside=beside or None, reason=reason or None, settled=settled, until=until
    )


def _as_pinned(state: AdapterState, declared: DesiredAdapter) -> AdapterState:
    note = f"rolled back from {declared.artifact.version}"
    return replace(state, pinned=True, reason=f"{note}; {state.reason}" if state.reason else note)
