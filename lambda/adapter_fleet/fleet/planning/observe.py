"""Observations: what a listing, a describe or a reading of tags means for the record of a component."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.planning.context import PlanContext
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.configuration import LATE_TAGS_SECONDS
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.fleet.state.records import AdapterRecord, Intent, Recheck, Write
from adapter_fleet.manifest.desired import DesiredAdapter

SETTLING_SECONDS = 30.0
"""How long an acknowledged write may stay invisible. [I] A describe may lag behind; no case is known."""


_FIRST_TAGS_SECONDS = 10.0


def new_record(component: str, want: DesiredAdapter | None) -> AdapterRecord:
    """Return the record of a component that nothing is known about."""
    return AdapterRecord(name=want.name if want is not None else "", component=component)


# --- listings


def with_known_spellings(
    listing: Mapping[str, ObservedComponent], records: Mapping[str, AdapterRecord], known: Collection[str]
) -> dict[str, ObservedComponent]:
    """Return a listing with each component under the name that the fleet knows it by.

    SageMaker ignores the case of names, and lists a component as its creator spelled it. The spelling of a
    component that the fleet has comes first: under another one, that record would seem to be left over.

    known:
        The names that are recorded or declared.
    """
    own = {name for name, record in records.items() if record.is_own}
    spellings = {name.lower(): name for name in (*sorted(known), *sorted(own))}

    def spelled(name: str) -> str:
        spelling = spellings.get(name.lower(), name)
        return name if name in own or (name in known and spelling not in own) else spelling

    return {spelled(name): live for name, live in listing.items()}


def merge_listing(
    records: Mapping[str, AdapterRecord], listing: Mapping[str, ObservedComponent], *, base: str
) -> dict[str, AdapterRecord]:
    """Return the records after a full listing of the endpoint. Strangers get a record without a name.

    A listing may lag behind. So a newer observation stays, and a component that the listing leaves out
    becomes doubtful instead of absent.
    """
    merged = {}
    for component, record in records.items():
        listed = listing.get(component)
        merged[component] = _listed(record, listed) if listed is not None else _left_out(record)
    for component, live in listing.items():
        if component not in merged and component != base:
            merged[component] = AdapterRecord(name="", component=component, live=live)
    return merged


def _listed(record: AdapterRecord, listed: ObservedComponent) -> AdapterRecord:
    live = record.live
    if live is None:
        return replace(record, live=listed)
    older = (listed.created, listed.modified) < (live.created, live.modified)
    same = (listed.created, listed.modified, listed.status) == (live.created, live.modified, live.status)
    if not older and not same:
        return replace(record, live=listed)
    # The known observation says more than the listing: it may be from a describe.
    return replace(record, live=replace(live, doubtful=False)) if live.doubtful else record


def _left_out(record: AdapterRecord) -> AdapterRecord:
    live, intent = record.live, record.intent
    if live is None:
        return record
    if intent is not None and intent.write is Write.DELETE and intent.acknowledged is not None:
        # The deletion has ended: a listing may lag, and never runs ahead.
        return replace(record, live=None, absent_at=intent.acknowledged)
    return replace(record, live=replace(live, doubtful=True))


# --- describes and tags


def with_description(record: AdapterRecord, live: ObservedComponent | None, *, now: float) -> AdapterRecord:
    """Return the record after a describe; `live` is None if the component does not exist."""
    return replace(record, live=live, absent_at=now if live is None else record.absent_at)


def with_tags(
    record: AdapterRecord, live: ObservedComponent, tags: Mapping[str, str], *, uid: str, now: float
) -> AdapterRecord:
    """Return the record after its tags were read. `owned` is None afterwards if it is not the fleet's.

    A creation that may have made the component stays in flight: its tags may come late.
    """
    if not is_own(tags, uid=uid):
        fleet, failure = tags.get(FLEET_TAG), record.failure
        record = replace(
            record,
            owned=None,
            intent=record.intent if FLEET_TAG not in tags and may_have_made(record.intent, live) else None,
            claimed=None,
            other_fleet=None if fleet == uid else fleet,
            other_stack=None,
        )
        if failure is None or failure.cause is not Cause.FOREIGN:
            return record
        return replace(record, failure=replace(failure, retry_at=next_tag_reading(record, live, now=now)))
    if record.owned == live.created:
        return record
    return adopt(record, live, {key: value for key, value in tags.items() if key != FLEET_TAG})


def is_own(tags: Mapping[str, str], *, uid: str) -> bool:
    """Return True if a component with these tags belongs to the fleet."""
    return tags.get(FLEET_TAG) == uid


def adopt(record: AdapterRecord, live: ObservedComponent, tags: Mapping[str, str]) -> AdapterRecord:
    """Return the record of a component that turned out to be the fleet's."""
    failure = record.failure
    record = replace(
        record,
        owned=live.created,
        tags=dict(tags),
        name=record.name or record.component,
        other_fleet=None,
        other_stack=None,
        failure=None if failure is not None and failure.cause is Cause.FOREIGN else failure,
    )
    if may_have_made(record.intent, live):
        return record  # the fleet has created it
    # Nobody knows whether the base model has it: it is asked before it counts as in service.
    return replace(
        record,
        adopted=True,
        counted=None,
        serving=None,
        vouched=None,
        passed=None,
        intent=None,
        recheck=Recheck.ASK,
    )


def may_have_made(intent: Intent | None, live: ObservedComponent) -> bool:
    """Return True if a write in flight is a creation that may have made a component."""
    return (
        intent is not None and intent.write is Write.CREATE and live.created >= intent.at - SETTLING_SECONDS
    )


# --- components that are not the fleet's


def is_claimed(record: AdapterRecord, live: ObservedComponent, context: PlanContext) -> bool:
    """Return True if the fleet is to take a component over: someone ordered it, and it may."""
    return context.claims.get(record.component) == live.created and may_be_claimed(
        record, live, context.target
    )


def may_be_claimed(record: AdapterRecord, live: ObservedComponent, target: Target) -> bool:
    """Return True if a fleet may take a component over, as far as its tags and its description are known.

    It has to be an adapter on the fleet's own endpoint and base model, and to belong to nobody.
    """
    if record.other_fleet is not None or record.other_stack is not None:
        return False
    # A listing omits the base model.
    return not live.described or (live.endpoint, live.base) == (target.endpoint, target.base)


def known_foreign(
    foreign: Mapping[str, float], known: Collection[str], *, read_until: float
) -> dict[str, float]:
    """Return the foreign components on an endpoint, without those whose tags have to be read again.

    Tags may have come late. Those of a component that is wanted or recorded may have been put back, too.
    """
    latest = read_until - LATE_TAGS_SECONDS
    return {name: created for name, created in foreign.items() if name not in known and created <= latest}


def next_tag_reading(record: AdapterRecord, live: ObservedComponent, *, now: float) -> float | None:
    """Return when to read the tags of a component that seems foreign again; None if they cannot come late.

    Each wait is as long as the component is old.
    """
    age = now - live.created
    if age >= LATE_TAGS_SECONDS or record.other_fleet is not None or record.other_stack is not None:
        return None
    return now + max(age, _FIRST_TAGS_SECONDS)


def why_foreign(record: AdapterRecord) -> str:
    """Return why a component is not the fleet's, and what to do about it."""
    if record.other_stack is not None:
        return (
            f"a component named {record.component} is there and belongs to stack '{record.other_stack}';"
            " take it out of that stack, or give the adapter another 'component'"
        )
    there = f"a component named {record.component} is there and has"
    if record.other_fleet is None:
        return (
            f"{there} no tag {FLEET_TAG} of this fleet; 'adapters import --take-over' makes it so, for an"
            " adapter on the fleet's own endpoint and base model"
        )
    return (
        f"{there} the tag {FLEET_TAG} of another fleet, {record.other_fleet}; give this fleet another"
        " 'component_prefix', or have the other one give it up first"
    )


def base_trouble(base: str, live: ObservedComponent | None) -> str | None:
    """Return why no adapter can be created on a base component now; None if adapters can be.

    live:
        The base component in a full listing of the endpoint, None if the listing leaves it out.
    """
    if live is not None and live.status in (Status.IN_SERVICE, Status.UPDATING):
        return None
    return f"the base component '{base}' is {live.status if live is not None else 'not there'}"
