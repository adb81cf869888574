"""`adapters plan`: what a manifest would change, compared with what is live."""

import json
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from adapter_fleet.common.findings import Finding
from adapter_fleet.common.naming import FLEET_TAG, stack_of
from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.guards import count_deletions, refusal
from adapter_fleet.fleet.planning.observe import (
    adopt,
    base_trouble,
    known_foreign,
    merge_listing,
    new_record,
    why_foreign,
)
from adapter_fleet.fleet.planning.pins import apply_pins
from adapter_fleet.fleet.planning.plan import plan as plan_of
from adapter_fleet.fleet.planning.settle import settle, with_new_attempts
from adapter_fleet.fleet.state.failures import Failure
from adapter_fleet.fleet.state.generations import Source, Target
from adapter_fleet.fleet.state.orders import Order, OrderKind
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, DesiredFleet
from adapters_cli.account import CommandError, NoFleetError, account_of, errors_told
from adapters_cli.components import Components
from adapters_cli.fleet import Fleet, FleetOption, StackOption, TableOption, find_fleet
from adapters_cli.manifests import ManifestFile, MistakesError, capped
from adapters_cli.overview import wanted as wanted_by
from adapters_cli.rows import show
from adapters_cli.status import NOT_SETTLED, look
from adapters_cli.text import complain
from adapters_cli.versions import as_document

_HEADINGS = ("ADAPTER", "ACTION", "FROM", "TO", "WHY")
_SPARE = ("FROM", "TO")
_ROUNDS = 5
"""A component is listed, then its tags are read, then it is described, at most."""

CHANGES = 5
"""What `--detailed-exitcode` ends with where something changes. Terraform's 2 is wrong usage here."""


class Action(StrEnum):
    """What would become of an adapter."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    """Deleted and created again."""
    DELETE = "delete"
    RETRY = "retry"
    """Tried again, after it failed."""
    CLAIM = "claim"
    TAG = "tag"
    WAIT = "wait"
    """Something is under way with it, and what comes next depends on how that ends."""
    KEEP = "keep"
    FAILED = "failed"
    """It has failed, and would not be tried again."""
    FOREIGN = "foreign"
    """Someone else's component has that name."""
    UNUSABLE = "unusable"
    """Its archive in S3 is missing, or another than was recorded."""


_SENDS = (Action.CREATE, Action.UPDATE, Action.REPLACE, Action.RETRY)
_FAILS = (Action.FAILED, Action.FOREIGN, Action.UNUSABLE)
_UNCHANGED = (Action.KEEP, *_FAILS)
_PHRASES = {action: action.value for action in _FAILS}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What would become of one adapter, from which version to which.

    before_artifact, after_artifact:
        What these versions are.
    fails:
        Whether it is known that it would fail, and the manifest is what brings that about: the fleet wants
        another artifact for it at present, or none.
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
class Outlook:
    """What would come of a manifest.

    refused:
        Why a guard would refuse it.
    trouble:
        Why the fleet would do nothing for now.
    """

    changes: Sequence[Change] = ()
    refused: str | None = None
    trouble: str | None = None


def plan(
    context: typer.Context,
    manifest: Annotated[Path, typer.Argument(help="The manifest, in YAML or JSON; - for standard input.")],
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Show what stays as it is, too.")] = False,
    detailed: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help=f"End with {CHANGES} where there is something to change."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Show what a manifest would change on the live endpoint. Nothing is written.

    Ends with 1 if the manifest has mistakes, if a guard would refuse it, or if it is known that an adapter
    would fail by it: its name is a component of someone else, or its archive is not in S3. Else with 3 if
    the base component is not in service, so that nothing would be done for now.

    Orders that the fleet has not taken yet, of retry and rollback, count as if it had.
    """
    with errors_told():
        found = find_fleet(account_of(context), stack=stack, name=fleet, table=table_name)
        target = target_of(found)
        try:
            desired, warnings = ManifestFile.read(manifest, target).desired(target)
        except MistakesError as error:
            if as_json:
                _write_document(mistakes=error.findings)
            raise
        outlook = compare(found, target, desired)
        changes = outlook.changes
        for line in capped(list(map(str, warnings)), "warnings"):
            complain(line)
        counts = Counter(change.action for change in changes)
        if as_json:
            _write_document(outlook, warnings=warnings)
        else:
            shown = [change for change in changes if everything or change.action is not Action.KEEP]
            show(_HEADINGS, [_row(change) for change in shown], styled=1, spare=_SPARE)
            if sys.stdout.isatty():
                typer.echo(summary(counts))
            if outlook.trouble:
                complain(outlook.trouble)
            if outlook.refused:
                raise CommandError(f"the fleet would refuse it: {outlook.refused}")
        if outlook.refused or counts[Action.FOREIGN] or counts[Action.UNUSABLE] or known_to_fail(changes):
            raise typer.Exit(1)
        if outlook.trouble:
            raise typer.Exit(NOT_SETTLED)
        if detailed and any(action not in _UNCHANGED for action in counts):
            raise typer.Exit(CHANGES)


def _write_document(
    outlook: Outlook = Outlook(),
    *,
    mistakes: Sequence[Finding] = (),
    warnings: Sequence[Finding] = (),
) -> None:
    document = {
        "refused": outlook.refused,
        "trouble": outlook.trouble,
        "mistakes": [asdict(finding) for finding in mistakes],
        "warnings": [asdict(finding) for finding in warnings],
        "changes": [_document(change) for change in outlook.changes],
    }
    typer.echo(json.dumps(document, indent=2))


def _document(change: Change) -> dict[str, object]:
    return {
        **asdict(change),
        "before_artifact": as_document(change.before_artifact),
        "after_artifact": as_document(change.after_artifact),
    }


def target_of(fleet: Fleet) -> Target:
    """Return where a fleet is, as its newest generation says.

    NoFleetError where there is none, CommandError where the fleet takes no manifest any more.
    """
    newest = fleet.registry.generation(fleet.record.generation)
    if newest is None:
        raise NoFleetError(f"fleet '{fleet.record.name}' has never been asked for anything")
    if newest.request.source is Source.DELETION:
        how = "was deleted" if fleet.record.deleted else "is being deleted"
        raise CommandError(f"fleet '{fleet.record.name}' {how}, and takes no manifest any more")
    return newest.request.target


def known_to_fail(changes: Iterable[Change]) -> list[Change]:
    """Return what a manifest would bring about that is known to fail."""
    return [change for change in changes if change.fails]


def summary(counts: Counter[Action]) -> str:
    """Return how many adapters each action is for."""
    told = [f"{counts[action]} {_PHRASES.get(action, f'to {action}')}" for action in Action if counts[action]]
    return ", ".join(told) or "no adapters"


def compare(fleet: Fleet, target: Target, desired: DesiredFleet) -> Outlook:
    """Return what would become of each adapter, and what would keep the fleet from it.

    What would be sent to the endpoint is looked for in S3.
    """
    registry, components = fleet.registry, Components(fleet.account, target.endpoint)
    orders = registry.orders()
    stored = registry.records()
    wanted = apply_pins(desired.adapters, orders, stored)
    listing = components.listed()
    seen = merge_listing(_retried(stored, orders), listing, base=target.base)
    # As a pass does: strangers are no part of what a generation counts.
    records = {
        component: with_new_attempts(record) if component in wanted else record
        for component, record in seen.items()
        if component in wanted or component in stored
    }
    context = PlanContext.of(
        target,
        now=fleet.account.now(),
        generation=fleet.record.generation + 1,
        foreign=known_foreign(fleet.record.foreign, records, wanted),
        orders=orders,
        deletes=True,
    )
    claimed: set[str] = set()
    for _ in range(_ROUNDS):
        made = plan_of(records, wanted, context)
        # Before the fleet takes a component over, a pass looks whether it has an owner.
        unread = [*made.components(Step.READ_TAGS), *(set(made.components(Step.CLAIM)) - claimed)]
        claimed.update(made.components(Step.CLAIM))
        if not made.unknown and not unread:
            break
        context = _look(components, records, made.components(Step.LOOK), unread, fleet.record.uid, context)
    records |= count_deletions(records, wanted, target, generation=context.generation)
    made = plan_of(records, wanted, context)
    # What the fleet did not make, a pass describes right before its deletion.
    context = _look(components, records, made.components(Step.LOOK), (), fleet.record.uid, context)
    made = plan_of(records, wanted, context)
    changes, sent = [], {}
    for component, decision in made.decisions.items():
        want, record = wanted.get(component), records.get(component)
        record, _ = settle(record or new_record(component, want), want, context)
        if want is None and decision.step in (Step.FOREIGN, Step.FORGET, Step.READ_TAGS):
            continue
        failure = seen[component].failure if component in seen else None
        change = _change(record, want, decision, failure)
        artifact = decision.artifact or (want.artifact if want is not None else None)
        if change.action in _SENDS and artifact is not None and _is_uploaded(artifact):
            sent[component] = artifact
        changes.append(change)
    unusable = components.unusable(sent.values(), registry)
    new = _new_artifacts(fleet, desired)
    changes = [
        _judged(change, unusable.get(sent[change.component]) if change.component in sent else None, new)
        for change in changes
    ]
    order = list(Action)
    changes.sort(key=lambda change: (order.index(change.action), change.name))
    trouble = base_trouble(target.base, listing.get(target.base))
    return Outlook(
        changes=changes,
        refused=refusal(records, wanted, target),
        trouble=f"{trouble}, and the fleet changes nothing before it is in service" if trouble else None,
    )


def _is_uploaded(artifact: Artifact) -> bool:
    """Tell whether an archive should be in S3 by now: a deployment uploads those of this machine."""
    return (artifact.source or artifact.uri).startswith("s3://")


def _retried(records: dict[str, AdapterRecord], orders: Iterable[Order]) -> dict[str, AdapterRecord]:
    """Return the records as a pass begins with them: without the failures that someone had forgotten."""
    again = {order.component for order in orders if order.kind is OrderKind.RETRY}
    return {
        component: replace(record, failure=None, restore_at=None) if component in again else record
        for component, record in records.items()
    }


def _look(
    components: Components,
    records: dict[str, AdapterRecord],
    unseen: Iterable[str],
    unread: Iterable[str],
    uid: str,
    context: PlanContext,
) -> PlanContext:
    """Read what a pass would into `records`: components and tags; return the context with strangers."""
    for component, live in components.described(unseen).items():
        absent_at = context.now if live is None else records[component].absent_at
        records[component] = replace(records[component], live=live, absent_at=absent_at)
    foreign = dict(context.foreign)
    lives = {component: live for component in unread if (live := records[component].live) is not None}
    for component in lives.keys() - (read := components.tags(lives)).keys():
        records[component] = replace(records[component], live=None, absent_at=context.now)
    for component, tags in read.items():
        record = records[component]
        assert record.live is not None  # it has an ARN
        other, stack = tags.pop(FLEET_TAG, None), stack_of(tags)
        if other == uid and stack is None:
            records[component] = adopt(record, record.live, tags)
        else:
            other = None if other == uid else other
            records[component] = replace(record, owned=None, other_fleet=other, other_stack=stack)
            foreign[component] = record.live.created
    return replace(context, foreign=foreign)


def _new_artifacts(fleet: Fleet, desired: DesiredFleet) -> frozenset[str]:
    """Return the components of which the fleet wants another artifact at present, or none."""
    seen = look(fleet)
    present = {
        adapter.component: adapter.artifact for adapter in wanted_by(fleet.registry, seen.active).adapters
    }
    return frozenset(
        adapter.component
        for adapter in desired.adapters
        if not adapter.artifact.same_as(present.get(adapter.component))
    )


def _judged(change: Change, problem: str | None, new: Collection[str]) -> Change:
    """Take in what is wrong with the archive, and whether the manifest is what makes the adapter fail."""
    if problem is not None:
        change = replace(change, action=Action.UNUSABLE, why=problem)
    return replace(change, fails=change.action in _FAILS and change.component in new)


_ACTIONS = {
    Step.KEEP: Action.KEEP,
    Step.SMOKE: Action.KEEP,
    Step.ASK: Action.KEEP,
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
) -> Change:
    """Return what would become of an adapter; `failure` is what the fleet remembers at present."""
    action = _ACTIONS.get(decision.step, Action.WAIT)
    if want is not None:
        if action is Action.DELETE:
            action = Action.REPLACE
        elif failure is not None and failure.artifact.same_as(want.artifact):
            again = action in (Action.CREATE, Action.UPDATE) and not decision.restores
            if again or (action is Action.FAILED and decision.until is not None):
                action = Action.RETRY
    artifact = decision.artifact or (want.artifact if want is not None else None)
    return Change(
        name=want.name if want is not None else record.name or record.component,
        component=record.component,
        action=action,
        before=record.serving.version if record.serving is not None else None,
        after=artifact.version if artifact is not None else None,
        before_artifact=record.serving,
        after_artifact=artifact,
        why=_why(record, decision, action, failure),
    )


def _why(record: AdapterRecord, decision: Decision, action: Action, failure: Failure | None) -> str | None:
    if action is Action.RETRY and failure is not None:
        return failure.reason
    if action is Action.FAILED and record.failure is not None:
        again = f"'adapters retry {record.name or record.component}' lets it be tried again"
        return f"{record.failure.reason}; {again}"
    if action is Action.FOREIGN:
        return why_foreign(record)
    artifact = decision.artifact
    if action is Action.UPDATE and artifact is not None and artifact.same_version_as(record.serving):
        return decision.why or f"the same archive at {artifact.uri}"
    return decision.why or None


def _row(change: Change) -> Sequence[str]:
    return change.name, change.action, change.before or "-", change.after or "-", change.why or ""
