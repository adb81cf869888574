"""Whatever happens to a fleet, in any order: it keeps its promises, and always converges."""

import json
import math
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from adapter_fleet.common.naming import FLEET_TAG, ORDERS_PARTITION
from adapter_fleet.fleet.planning.observe import is_own
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, DriftAction, FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Generation, Outcome, Request, Source
from adapter_fleet.fleet.state.records import AdapterRecord, Intent, OrderKind, Write
from adapter_fleet.fleet.state.rows.leased_table import Lease
from adapter_fleet.manifest.desired import DesiredAdapter, DesiredFleet, SmokeRequest
from tests.adapter_fleet.fake_service import BASE, ByAnySpelling, Crash, Faults
from tests.adapter_fleet.fleet.reconcile.under_faults import (
    InjectedError,
    WatchedFleet,
    promise,
    run_stories,
)
from tests.adapter_fleet.fleet_world import UID, Execution, World, adapter, artifact
from tests.adapter_fleet.memory_registry import Item, MemoryRegistry
from tests.nightly import stories

NAMES = ["a", "b", "c", "d"]
BY_HAND = "s3://bucket/by-hand.tar.gz"
SMOKED, TAGGED, PROBED = ("c", "d"), ("b", "d"), ("a", "d")
SMOKE = SmokeRequest(body={"inputs": "Hello"})
NO_GUARD = DeletionLimit(share=1.0, allow_empty=True)
GUARD = DeletionLimit(share=0.5, above=1)
WRITES = ("CreateInferenceComponent", "UpdateInferenceComponent", "DeleteInferenceComponent")
TOUCHES = (*WRITES[1:], "AddTags", "DeleteTags")

OTHERS = {
    "other-base": {},
    "other-adapter": {},
    "second-base": {},
    "second-adapter": {},
    "adapter-of-fleet-2": {FLEET_TAG: "fleet-2"},
    "adapter-of-a-stack": {},
}
"""Components of another endpoint, another base model, another fleet and a stack, with their tags."""

UNTOUCHABLE = ["base", *OTHERS]
"""Whatever anyone orders, the fleet tags, updates and deletes none of them."""

STRAYS = ["p-stray", "other-team-1", "other-team-2"]
"""Components that strangers create with the fleet's tag."""

MENDABLE = ["AccessDenied: 403", "ResourceLimitExceeded", "out of memory", "insufficient capacity"]
REASONS = {
    "bad": "bad tensors",
    "empty": "",
    "nul": "\0" * 5000,
    "wide": "\U0001f600" * 5000,
    "surrogate": "\ud800",
    "long": "x" * 500_000,
    **{reason: reason for reason in MENDABLE},
}
"""Failure reasons by a short name, as Hypothesis stores the text of every argument."""

ORDERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "as they are": lambda order: {"doc": json.dumps(order), "at": order["at"]},
    "of a later release": lambda order: {"doc": json.dumps({**order, "new": [1]}), "at": order["at"]},
    "of another kind": lambda order: {"doc": json.dumps({**order, "kind": "pause"}), "at": order["at"]},
    "without a component": lambda order: {"doc": json.dumps(_without(order, "component")), "at": order["at"]},
    "without a time": lambda order: {"doc": json.dumps(_without(order, "at"))},
    "at no time": lambda order: {"doc": json.dumps({**order, "at": math.nan}), "at": order["at"]},
    "at the end of time": lambda order: {"doc": json.dumps({**order, "at": 1e300}), "at": 1e100},
    "at a time in words": lambda order: {"doc": json.dumps({**order, "at": "soon"}), "at": "soon"},
    "at another time than it says": lambda order: {"doc": json.dumps(order), "at": 7},
    "without a document": lambda order: {"at": order["at"]},
    "that are no JSON": lambda order: {"doc": "x{", "at": order["at"]},
    "that are a number": lambda order: {"doc": 7, "at": order["at"]},
    "that are a list": lambda order: {"doc": json.dumps([order]), "at": order["at"]},
}
"""What people may put into the partition of orders."""

FAILURE = {"reason": "r", "artifact": {"uri": "s3://bucket/x"}, "at": 1.0}
INTENT = {"at": 1.0, "generation": 1}

ROWS: dict[str, Callable[[dict[str, Any]], object]] = {
    "with a field of a later release": lambda row: json.dumps({**row, "new": {"a": [1]}}),
    "with a step of a later release": lambda row: json.dumps({**row, "recheck": "ask-again"}),
    "with a cause of a later release": lambda row: json.dumps(
        {**row, "failure": {**FAILURE, "cause": "licence"}}
    ),
    "with a write of a later release": lambda row: json.dumps({**row, "intent": {**INTENT, "write": "move"}}),
    "with a version without an address": lambda row: json.dumps({**row, "versions": [{"digest": "0" * 64}]}),
    "with tags in a list": lambda row: json.dumps({**row, "tags": ["a"]}),
    "with text for a number": lambda row: json.dumps({**row, "owned": "yesterday"}),
    "of another component": lambda row: json.dumps({**row, "component": "q-other"}),
    "without a component": lambda row: json.dumps(_without(row, "component")),
    "that is no JSON": lambda row: "x{",
    "that is a number": lambda row: 7,
    "that is a list": lambda row: json.dumps([row]),
}
"""What may stand in the row of an adapter."""

LARGE = 10
"""Versions from here on have as many bytes as a manifest may have for an adapter."""

manifests = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3), max_size=len(NAMES))


class Fleet(WatchedFleet):
    """One fleet, and everything that people, CloudFormation and the service may do to it."""

    @initialize(
        seconds=st.sampled_from([0.5, 5.0, 40.0]),
        page=st.sampled_from([3, 100]),
        mends=st.booleans(),
        settings=st.builds(
            FleetSettings,
            request_rate=st.just(10.0),
            failures=st.builds(FailureLimit, share=st.sampled_from([0.0, 0.5, 1.0])),
            deletions=st.sampled_from([NO_GUARD, GUARD]),
            drift=st.sampled_from([None, *DriftAction]),
            allow_base_replacement=st.booleans(),
        ),
        faults=st.builds(
            Faults,
            listing_lag=st.sampled_from([0.0, 3.0]),
            tags_lag=st.sampled_from([0.0, 8.0]),
            describe_lag=st.sampled_from([0.0, 2.0]),
            modified_moves=st.booleans(),
            failure_reason_stays=st.booleans(),
        ),
    )
    def begin(self, seconds: float, page: int, mends: bool, settings: FleetSettings, faults: Faults) -> None:
        self.world = World(seconds=seconds, settings=settings)
        self.world.service.faults = faults
        service = self.world.service
        service.page = page
        service.add_base("elsewhere", "other-base")
        service.add_base("endpoint", "second-base")
        for name in sorted(OTHERS.keys() - service.components.keys()):
            base = name.replace("adapter", "base") if name in ("other-adapter", "second-adapter") else "base"
            service.make(name, "s3://others/x.tar.gz", tags=OTHERS[name], base=base)
        service.stacks["adapter-of-a-stack"] = "Other"
        self.unreadable: dict[str, tuple[Item, Item]] = {}
        self.blind, self.mends = False, mends
        self.wanted: dict[str, int] = {}
        self.requests: list[tuple[Request, DesiredFleet, int]] = []
        self.foreign: ByAnySpelling[tuple[str, dict[str, str]]] = ByAnySpelling()
        self.claimed: set[str] = set()
        self.ended: set[int] = set()
        self.deleted: dict[int, set[str]] = {}
        self.token = 0
        self.backups: list[tuple[MemoryRegistry, list[tuple[Request, DesiredFleet, int]]]] = []
        self.contested: set[str] = set()
        self.swapped: dict[str, str] = {}
        self.restored = False
        self.guarded: dict[int, set[tuple[str, float]]] = {}
        self.read: dict[int, tuple[Item, Generation]] = {}
        self.pruned: set[tuple[str, float]] = set()
        self.watch()
        self.put({"a": 1, "b": 1}, False)

    # --- what is watched at every call

    def _around(self, operation: str, when: str) -> None:
        if self.blind:
            return
        verb, _, name = operation.partition(" ")
        if when == "before" and verb in TOUCHES:
            promise(name not in UNTOUCHABLE, f"{operation}, which is not the fleet's")
            promise(name not in self.unreadable, f"{operation}, whose row cannot be read")
        if when == "before" and verb in WRITES:
            self._watch_write(operation)
        if (operation, when) == ("generations.save", "after"):
            self._watch_ends()
            self._watch_guards()
        is_write = operation.startswith(("Add", "Delete", *WRITES))
        if not (is_write and self.happening == self._stall):
            self._count_call()

    def _watch_write(self, operation: str) -> None:
        name = operation.partition(" ")[2]
        registry = self.world.registry
        promise(registry.lease_token == self.token, f"{operation} by a pass that has lost its lease")
        record = registry.records.find(name)
        promise(record is not None and record.intent is not None, f"{operation} without an intent")
        assert record is not None
        assert record.intent is not None
        intent = record.intent
        promise(operation.lower().startswith(intent.write.value), f"{operation} with {intent}")
        self._watch_artifact(record, intent)
        if intent.write is Write.DELETE:
            self._watch_deletion(name, intent.generation)

    def _watch_artifact(self, record: AdapterRecord, intent: Intent) -> None:
        """Check that the artifact was declared for the adapter, or has served before."""
        name = record.component
        declared = {
            adapter.artifact.uri
            for adapter in self.world.registry.generations.desired(intent.generation).adapters
            if adapter.component == name
        }
        known = {version.uri for version in (*record.versions, record.serving, record.last_good) if version}
        sent = {intent.artifact.uri} if intent.artifact is not None else set()
        promise(sent <= declared | known, f"{name} gets {sent}, which nobody declared")

    def _watch_ends(self) -> None:
        """Check that the outcome of an ended generation never changes; its counts may."""
        for generation in self._generations_except(self.ended):
            if generation.outcome is Outcome.OPEN:
                continue
            self.ended.add(generation.number)
            settings = generation.request.target.settings
            if generation.exempt:
                # A deletion fails where it leaves components behind.
                incomplete = self.unreadable and generation.request.source is Source.DELETION
                ends = generation.outcome in (Outcome.CONVERGED, Outcome.SUPERSEDED)
                promise(ends or bool(incomplete), generation)
            elif generation.outcome is Outcome.CONVERGED:
                promise(generation.changes is not None and generation.ended is not None, generation)
                assert generation.changes is not None
                assert generation.ended is not None
                late = generation.ended - generation.request.at >= settings.timeout_seconds - 10
                allowed = (settings.failures or FailureLimit()).allowed(generation.changes)
                promise(late or generation.failures <= allowed, generation)

    def _generations_except(self, seen: Collection[int]) -> list[Generation]:
        unseen = [number for number in self.world.registry.generation_numbers() if number not in seen]
        return [self._generation(number) for number in unseen]

    def _watch_guards(self) -> None:
        """Note which components a generation may delete, at the moment when its guard lets it pass."""
        registry, service = self.world.registry, self.world.service
        for generation in self._generations_except(self.guarded):
            if generation.changes is None:
                continue
            wanted = {
                adapter.component.lower()
                for adapter in registry.generations.desired(generation.number).adapters
            }
            self.guarded[generation.number] = {
                (name.lower(), there.created)
                for name, there in service.components.items()
                if there.base is not None and name.lower() not in wanted
            } | {
                (name.lower(), 0.0)
                for name, record in registry.records.all().items()
                if record.intent is not None
            }

    def _watch_count(self, name: str) -> None:
        """Check that a guard has counted the deletion of this very component."""
        there = self.world.service.components.get(name)
        if there is None or there.tags.get(FLEET_TAG) != UID:
            return  # it is gone, or the role's policy refuses the deletion
        deletion = self._shown(name) | {(name.lower(), 0.0)}
        numbers = self.guarded.keys() & set(self.world.registry.generation_numbers())
        counted = [number for number in numbers if self.guarded[number] & deletion]
        passed = any(self._generation(number).outcome is not Outcome.REFUSED for number in counted)
        promise(passed or bool(deletion & self.pruned), f"{name} is deleted, and no guard has counted that")

    def _shown(self, name: str) -> set[tuple[str, float]]:
        """Return what a deletion of this name may be meant for, by the time of its creation.

        A late describe shows an earlier component of that name, and a deletion goes by the name.
        """
        there = self.world.service.components.get(name), self.world.service.described(name)
        return {(name.lower(), one.created) for one in there if one is not None}

    def _generation(self, number: int) -> Generation:
        item = self.world.registry.items["generations"][f"{number:010}"]
        before, generation = self.read.get(number, (None, None))
        # No item ever changes in place.
        if before is not item or generation is None:
            generation = self.world.registry.generations.find(number)
            assert generation is not None
            self.read[number] = item, generation
        return generation

    def _watch_deletion(self, name: str, number: int) -> None:
        there, generation = self.world.service.components.get(name), self._generation(number)
        settings = generation.request.target.settings
        desired = self.world.registry.generations.desired(number).adapters
        wanted = {adapter.component for adapter in desired}
        if name.lower() in {component.lower() for component in wanted}:
            # The policy of the fleet's role protects components of others.
            serves = (
                there is not None
                and there.tags.get(FLEET_TAG) == UID
                and there.status is Status.IN_SERVICE
                and there.serves is not None
            )
            promise(not serves, f"{name} is wanted, serves and is deleted")
            return
        self._watch_count(name)
        if there is None:
            return  # someone has deleted it, and the fleet deletes nothing
        if generation.exempt or settings.deletions != GUARD or self._shown(name) & self.pruned:
            return
        deleted = self.deleted.setdefault(number, set())
        deleted.add(name)
        promise(bool(wanted), f"{name} is deleted for an empty manifest")
        # All components that the fleet may have here, and those that strangers gave its tag.
        most = GUARD.share * (len(NAMES) + len(STRAYS))
        promise(len(deleted) <= most, f"{deleted} are deleted under a guard")

    def _stall(self) -> None:
        """Let this pass stand still for longer than its lease while others run."""
        mine = self.token
        self.world.clock.time += 120.0
        self.world.start_machine("order")
        self._run_pass(600.0, self.world.executions[-1])
        self.token = mine

    def _run_pass(self, deadline: float, execution: Execution) -> None:
        registry = self.world.registry
        acquire = registry.acquire

        def noted(owner: str, now: float, seconds: float) -> Lease | None:
            lease = acquire(owner, now, seconds)
            if lease is not None:
                self.token = lease.token
            return lease

        registry.acquire = noted  # type: ignore[method-assign]
        try:
            super()._run_pass(deadline, execution)
        finally:
            registry.acquire = acquire  # type: ignore[method-assign]

    # --- what happens

    @rule(manifest=manifests, as_object=st.booleans())
    def put(self, manifest: dict[str, int], as_object: bool) -> None:
        fleet = self.world.registry.fleet()
        newest = self.world.newest() if fleet is not None and fleet.generation else None
        if newest is not None and newest.outcome in (Outcome.FAILED, Outcome.REFUSED):
            self.roll_back()
        adapters = _adapters(manifest)
        previous = DesiredFleet(adapters=_adapters(self.wanted)).digest if self.requests else None
        self._open(manifest, adapters, Source.OBJECT if as_object else Source.DEPLOYMENT, previous=previous)

    def _open(
        self,
        manifest: dict[str, int],
        adapters: tuple[DesiredAdapter, ...],
        source: Source,
        *,
        previous: str | None,
    ) -> None:
        desired = DesiredFleet(adapters=adapters)
        request = self.world.request(source, source_digest=desired.digest, previous_digest=previous)
        generation = self.world.open(request, desired)
        self.requests.append((request, desired, generation.number))
        self.before, self.wanted = self.wanted, dict(manifest)

    @rule()
    def put_invalid_manifest(self) -> None:
        """An invalid manifest changes nothing."""
        if self.world.newest().request.source is not Source.DELETION:
            assert self.world.put_invalid_manifest().outcome is Outcome.REFUSED

    @precondition(lambda self: len(self.requests) > 1)
    @rule()
    def roll_back(self) -> None:
        """CloudFormation sends the manifest before the last one."""
        last = self._generation(self.world.newest().deployment)  # the first one is a deployment
        self._open(
            self.before, _adapters(self.before), Source.DEPLOYMENT, previous=last.request.source_digest
        )

    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        request, desired, number = data.draw(st.sampled_from(self.requests))
        assert self.world.open(request, desired).number == number

    @rule(deadline=st.sampled_from([0.2, 2.0, 20.0, 600.0]), times=st.integers(1, 4))
    def run(self, deadline: float, times: int) -> None:
        self.run_passes(deadline, times)

    @rule(calls=st.integers(0, 40))
    def crash(self, calls: int) -> None:
        self.happens(calls, Crash())

    @rule(calls=st.integers(0, 60), times=st.integers(1, 3))
    def raise_unexpected(self, calls: int, times: int) -> None:
        """Let a call of the service or registry raise an unexpected exception, before or after it acts."""
        for _ in range(times):
            self.happens(calls, InjectedError())

    @rule(calls=st.integers(0, 40))
    def stall_for_longer_than_the_lease(self, calls: int) -> None:
        self.happens(calls, self._stall)

    @rule(calls=st.integers(0, 60), manifest=manifests)
    def deploy_during_a_pass(self, calls: int, manifest: dict[str, int]) -> None:
        self.happens(calls, lambda: self.put(manifest, False))

    @rule()
    def check_for_drift(self) -> None:
        self.world.start_machine("drift")

    @rule(name=st.sampled_from(NAMES), version=st.integers(1, 3))
    def pin(self, name: str, version: int) -> None:
        if name in self.wanted:
            pinned, replaces = artifact(name, version), artifact(name, self.wanted[name])
            self.world.order(OrderKind.PIN, name, artifact=pinned, replaces=replaces)

    @rule(name=st.sampled_from(NAMES), kind=st.sampled_from([OrderKind.UNPIN, OrderKind.RETRY]))
    def order(self, name: str, kind: OrderKind) -> None:
        self.world.order(kind, name)

    @rule(name=st.sampled_from(NAMES))
    def claim(self, name: str) -> None:
        component = f"p-{name}"
        uri, tags = self.foreign.get(component, ("", {}))
        if uri and not tags:
            del self.foreign[component]
            self.claimed.add(component.lower())
            created = self.world.service.components[component].created
            self.world.order(OrderKind.CLAIM, name, created=created)

    @rule(lost=st.booleans(), back=st.booleans())
    def update_the_base(self, lost: bool, back: bool) -> None:
        """Let the base run another model, or the same again, on new copies that may lack the adapters."""
        if self._base_is_known():
            there = self.world.service.components["base"].uri
            model = there if back else f"model-{self.world.clock.now()}"
            self.world.service.replace_base(model, lost=lost)

    def _base_is_known(self) -> bool:
        """Return True if the registry knows what the base runs. Otherwise a change cannot be noticed."""
        fleet = self.world.registry.fleet()
        return fleet is not None and fleet.base_version == self.world.service.components["base"].uri

    @rule(name=st.sampled_from(NAMES), version=st.integers(1, 3), silent=st.booleans())
    def fall_silent(self, name: str, version: int, silent: bool) -> None:
        artifacts = self.world.service.faults.silent
        (artifacts.add if silent else artifacts.discard)(artifact(name, version).uri)

    @rule(refused=st.booleans())
    def refuse_deletions(self, refused: bool) -> None:
        self.world.service.faults.deletion_refused = "it cannot be deleted for now" if refused else None

    @rule(seconds=st.sampled_from([1.0, 60.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.time += seconds

    @rule()
    def let_items_expire(self) -> None:
        """Let more than a year pass, and DynamoDB delete what expires."""
        self.world.clock.time += 500 * 24 * 3600
        self.world.registry.expire(self.world.clock.now())
        self._forget_requests()

    def _forget_requests(self) -> None:
        deliveries = self.world.registry.items.get("deliveries", {})
        self.requests = [made for made in self.requests if made[0].delivery in deliveries]

    @rule(count=st.integers(1, 10))
    def throttle(self, count: int) -> None:
        self.world.service.faults.throttled = count

    @rule(before=st.integers(0, 3), after=st.integers(0, 3))
    def lose_answers(self, before: int, after: int) -> None:
        faults = self.world.service.faults
        faults.lost_before, faults.lost_after = before, after

    @rule(name=st.sampled_from(NAMES), version=st.integers(1, 3), reason=st.sampled_from(sorted(REASONS)))
    def break_artifact(self, name: str, version: int, reason: str) -> None:
        self.world.service.faults.broken[artifact(name, version).uri] = REASONS[reason]

    @rule(name=st.sampled_from(NAMES), unknown=st.booleans())
    def set_unknown_status(self, name: str, unknown: bool) -> None:
        component = self.world.service.components.get(f"p-{name}")
        if component is None or component.ends is not None:
            return
        if unknown and component.status is Status.IN_SERVICE:
            component.status = Status("Stopping")
        elif not unknown and component.status == "Stopping":
            component.status = Status.IN_SERVICE
        else:
            return
        component.modified = self.world.service._tick()
        self.world.service._note(component.name)

    @rule(name=st.sampled_from(STRAYS))
    def tag_new_component(self, name: str) -> None:
        """Let a stranger create a component with the fleet's tag."""
        self.world.service.make(name, "s3://bucket/stray.tar.gz", tags={FLEET_TAG: UID})

    @rule(name=st.sampled_from(NAMES))
    def tag_foreign_component(self, name: str) -> None:
        """Let a stranger put the tag on a component that the fleet may know as foreign."""
        component = self.world.service.components.get(f"p-{name}")
        if component is not None and component.name in self.foreign:
            component.tags[FLEET_TAG] = UID
            del self.foreign[component.name]
            self.contested.add(component.name.lower())

    @rule(name=st.sampled_from(STRAYS))
    def untag_stray(self, name: str) -> None:
        component = self.world.service.components.get(name)
        if component is not None:
            component.tags.pop(FLEET_TAG, None)

    @rule()
    def prune(self) -> None:
        """Let a person order the deletion of the reported orphans."""
        for component, record in self.world.registry.records.all().items():
            if record.owned is not None and component not in self._wanted_components():
                self.pruned.add((component.lower(), record.owned))
                self.world.prune(component, record.owned)

    def _wanted_components(self) -> set[str]:
        return {f"p-{name}" for name in self.wanted}

    @rule(name=st.sampled_from(NAMES), version=st.integers(1, 3), gone=st.booleans())
    def lose_artifact(self, name: str, version: int, gone: bool) -> None:
        missing = self.world.service.faults.missing
        (missing.add if gone else missing.discard)(artifact(name, version).uri)

    @rule(denied=st.booleans())
    def deny(self, denied: bool) -> None:
        self.world.service.faults.denied = denied

    @rule(refused=st.booleans(), serial=st.booleans())
    def refuse_or_serialize_writes(self, refused: bool, serial: bool) -> None:
        faults = self.world.service.faults
        faults.update_refused, faults.one_write_at_a_time = refused, serial

    @rule(copies=st.sampled_from([0, 1, 3]), updating=st.booleans())
    def scale(self, copies: int, updating: bool) -> None:
        """Let the number of copies follow the load, also to none; the base may take its time for it."""
        service = self.world.service
        base = service.components.get("base")
        if base is None or base.status not in (Status.IN_SERVICE, Status.UPDATING):
            return
        service.copies = copies
        base.status = Status.UPDATING if updating else Status.IN_SERVICE
        service._note("base")
        if copies:
            self.world.start_machine("scaling")

    @rule(name=st.sampled_from(NAMES), stuck=st.booleans())
    def get_stuck(self, name: str, stuck: bool) -> None:
        component = self.world.service.components.get(f"p-{name}")
        if component is not None:
            component.stuck = stuck

    @rule(name=st.sampled_from(NAMES))
    def delete_by_hand(self, name: str) -> None:
        self.world.service.remove(f"p-{name}")
        if f"p-{name}" in self.foreign:
            del self.foreign[f"p-{name}"]

    @rule(name=st.sampled_from(NAMES))
    def edit_by_hand(self, name: str) -> None:
        component = self.world.service.components.get(f"p-{name}")
        if component is None or component.status.in_transition or component.tags.get(FLEET_TAG) != UID:
            return
        if component.name in self.unreadable:
            return
        record = self.world.registry.records.all().get(component.name)
        if record is not None and record.intent is not None and record.intent.write is Write.CREATE:
            return  # whether the edit came before or after the end of the creation cannot be known
        self.world.service.edit(f"p-{name}", BY_HAND)

    @rule(name=st.sampled_from(PROBED), other=st.sampled_from([BASE, BY_HAND, artifact("b").uri]))
    def swap(self, name: str, other: str) -> None:
        """Let another answer in the place of an adapter, which no description shows."""
        component = self.world.service.components.get(f"p-{name}")
        if component is not None and component.serves is not None and component.name not in self.foreign:
            component.serves = other
            self.swapped[component.name] = other

    def _swap_back(self) -> None:
        for name, other in self.swapped.items():
            component = self.world.service.components.get(name)
            if component is not None and component.serves == other:
                component.serves = component.uri
        self.swapped.clear()

    @rule(name=st.sampled_from(NAMES), tags=st.sampled_from([{}, {FLEET_TAG: "fleet-2"}]))
    def recreate_by_hand(self, name: str, tags: dict[str, str]) -> None:
        """Let someone, or another fleet, create a component of that name."""
        self.world.service.make(f"p-{name}", "s3://bucket/foreign.tar.gz", tags=tags)
        self._note_recreated(f"p-{name}", tags)

    def _note_recreated(self, component: str, tags: dict[str, str]) -> None:
        orders = self.world.registry.orders.all()
        claims = {order.component.lower() for order in orders if order.kind is OrderKind.CLAIM}
        if component in self.claimed | claims and self.world.service.faults.describe_lag:
            # A description that lags behind shows the one that was claimed, and tags are written by name.
            self.contested.add(component)
        else:
            self.foreign[component] = ("s3://bucket/foreign.tar.gz", tags)
        self.claimed.discard(component)

    @rule(name=st.sampled_from(NAMES))
    def untag(self, name: str) -> None:
        """Let someone remove the fleet's tag."""
        component = self.world.service.components.get(f"p-{name}")
        if component is None or component.status.in_transition or component.tags.get(FLEET_TAG) != UID:
            return
        if component.name.lower() in self.claimed:
            return  # as long as a claim is open, the fleet tags it again
        del component.tags[FLEET_TAG]
        self.foreign[component.name] = (component.uri, dict(component.tags))

    @rule()
    def back_up_the_registry(self) -> None:
        if self.unreadable:
            return
        self.backups.append((self.world.registry.clone(), list(self.requests)))

    @precondition(lambda self: self.backups)
    @rule(data=st.data(), redeploys=st.booleans())
    def restore_the_registry(self, data: st.DataObject, redeploys: bool) -> None:
        """Restore a backup of the registry; someone may deploy right after that."""
        if not self._base_is_known() or None in self.world.service.serving().values():
            return  # nothing else shows that the base has lost adapters
        backup, requests = data.draw(st.sampled_from(self.backups))
        for record in backup.records.all().values():
            there = self.world.service.components.get(record.component)
            creating = record.intent is not None and record.intent.write is Write.CREATE
            if creating and there is not None and there.uri == BY_HAND:
                return  # whether the edit came before or after the end of the creation cannot be known
        self.restored = True
        self.unreadable.clear()
        self.world.registry.restore(backup)
        if not self._base_is_known():
            # The backup pairs adapters with a base that they are not on.
            redeploys = True
        self.world.end_executions()
        known = set(self.world.registry.generation_numbers())
        self.requests = list(requests)
        self.ended &= known
        self.guarded = {
            number: seen
            for number, seen in self.guarded.items()
            if (made := self.world.registry.generations.find(number)) is not None and made.changes is not None
        }
        self.deleted.clear()
        self.world.start_machine("drift")
        if redeploys:
            self._open(self.wanted, _adapters(self.wanted), Source.DEPLOYMENT, previous=None)

    @rule()
    def lose_the_registry(self) -> None:
        self.world.lose_registry()
        # The known deliveries are lost with it, and generations begin at one again.
        self.unreadable.clear()
        self.requests.clear()
        self.ended.clear()
        self.deleted.clear()
        self.guarded.clear()
        self.backups.clear()
        self._open(self.wanted, _adapters(self.wanted), Source.DEPLOYMENT, previous=None)

    def _mend_rows(self) -> None:
        rows = self.world.registry.items.get("records", {})
        for component, (row, spoiled) in self.unreadable.items():
            assert rows[component] == spoiled, f"the row of {component} was written"
            rows[component] = row
        self.unreadable.clear()

    # --- in the end

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        self._end_faults()
        self.settle()
        if world.newest().outcome in (Outcome.FAILED, Outcome.REFUSED):
            self.roll_back()
            self.settle()
        world.with_settings(replace(world.target.settings, deletions=NO_GUARD))
        # The next event finds changes by hand, once listings show them.
        world.clock.time += 10.0
        self.wanted = {name: version for name, version in self.wanted.items() if name not in UNTOUCHABLE}
        for _ in range(1 + self.mends):
            self._open_again()
            self.prune()
            self.settle()
            self._check_end(world.newest())
            if self.mends:
                self._mend_rows()
        converged = world.newest().outcome is Outcome.CONVERGED
        # After that, nothing is left to do.
        world.clock.time += 1000
        writes = len(world.writes())
        self._open_again()
        # A stranger's component with the fleet's tag may replace one that was just created. The fleet notices
        # when it describes the component.
        left = [write for write in world.writes()[writes:] if write.split()[-1].lower() not in self.contested]
        assert not converged or left == []
        for _ in range(2):
            world.destroy()
            self.settle()
            self._check_deletion(world.newest())
            self._mend_rows()

    def _open_again(self) -> None:
        self._open(self.wanted, _adapters(self.wanted), Source.DEPLOYMENT, previous=None)
        self.settle()

    def _end_faults(self) -> None:
        world = self.world
        faults = world.service.faults
        faults.denied = faults.one_write_at_a_time = faults.update_refused = False
        faults.throttled = faults.lost_before = faults.lost_after = 0
        faults.missing.clear()
        world.service.copies = max(1, world.service.copies)
        base = world.service.components.get("base")
        if base is not None and base.status is Status.UPDATING:
            base.status = Status.IN_SERVICE
            world.service._note("base")
        self._swap_back()
        faults.deletion_refused = None
        for uri in [uri for uri, reason in faults.broken.items() if reason in MENDABLE]:
            del faults.broken[uri]
        for name in NAMES:
            world.order(OrderKind.UNPIN, name)
        for component in world.service.components.values():
            component.stuck = False
            if component.status == "Stopping":
                component.status, component.modified = Status.IN_SERVICE, world.service._tick()
                world.service._note(component.name)

    def _check_end(self, generation: Generation) -> None:
        world = self.world
        assert generation.outcome in (Outcome.CONVERGED, Outcome.FAILED), world.describe()
        components, records = world.service.components, world.registry.records.all()
        spelled = {name.lower(): name for name in self.wanted}
        for name, (uri, tags) in self.foreign.items():
            there = components[name]
            assert there.uri == uri, f"{name} of someone else was changed"
            assert there.tags == tags, f"{name} of someone else was tagged"
        if generation.outcome is Outcome.FAILED:
            return  # the service refuses the manifest; CloudFormation would roll it back
        for name in STRAYS:
            assert name not in components or FLEET_TAG not in components[name].tags, f"{name} was pruned"
        for name, there in components.items():
            # Nobody waits for a write whose record cannot be read.
            assert name in self.unreadable or not there.status.in_transition, f"{name} is {there.status}"
        for name in (spelled.get(name, name) for name in NAMES):
            component = f"p-{name}"
            present = components.get(component)
            if (
                component in self.unreadable
                or component in self.foreign
                or component.lower() in self.contested
                or (component.lower() in self.claimed and present and FLEET_TAG not in present.tags)
            ):
                continue
            if name in self.wanted:
                self._check_wanted(name, records[component])
            else:
                assert component not in components, f"{component} is not wanted, and there"
                assert component not in records

    def _check_deletion(self, generation: Generation) -> None:
        """Nothing with the fleet's tag outlives a deletion unreported, and nothing else has gone."""
        components = self.world.service.components
        for name, tags in OTHERS.items():
            assert components[name].tags == tags, f"{name} was tagged"
        # SageMaker ignores the case of names, so a person finds the component by any spelling.
        reason = (generation.reason or "").lower()
        left = {name for name, there in components.items() if is_own(there.tags, uid=UID)}
        unreported = {name for name in left if name.lower() not in reason}
        assert not unreported, f"{unreported} outlive the deletion: {generation}"

    def _check_wanted(self, name: str, record: AdapterRecord) -> None:
        """An adapter serves what is wanted, or else the last good one; then its record says why."""
        component, wanted = f"p-{name}", artifact(name, self.wanted[name])
        present = self.world.service.components.get(component)
        serving = None if present is None else self.world.service.serving().get(present.name)
        assert record.intent is None
        if serving == wanted.uri:
            assert present is not None
            # Tags are never read for comparison, so that tags written after a backup are unknown.
            assert self.restored or present.tags == {FLEET_TAG: UID, **_tags(name, self.wanted[name])}
            if record.failure is None or record.failure.artifact != wanted:
                return
        failure = record.failure
        assert failure is not None, f"{component} serves {serving}, and nothing failed"
        assert failure.artifact == wanted
        assert not failure.cause.retried
        good = record.last_good
        if failure.cause is Cause.UPDATE_REFUSED and good == wanted:
            # A new base lost it, and the update that should restore it was refused. That is retried only
            # with another artifact or base, or by order. Another good version is sent again.
            return
        faulty = {*self.world.service.faults.broken, *self.world.service.faults.silent}
        if good is not None and good.uri not in faulty:
            assert serving == good.uri, f"{component} does not serve the last good one"


class FleetOfAnyItems(Fleet):
    """Items in the registry that nobody can read, and orders that nobody would give."""

    @rule(
        component=st.sampled_from(
            [*UNTOUCHABLE, *STRAYS, *(f"p-{name}" for name in NAMES), "P-A", "no\ud800", "x" * 900]
        ),
        kind=st.sampled_from(OrderKind),
        form=st.sampled_from(sorted(ORDERS)),
        wanted=st.booleans(),
        other_key=st.booleans(),
    )
    def put_any_order(
        self, component: str, kind: OrderKind, form: str, wanted: bool, other_key: bool
    ) -> None:
        """Let someone who may give orders put any item there, and want the component as well."""
        there = self.world.service.components.get(component)
        created = 1.0
        if there is not None and (component in UNTOUCHABLE or kind is OrderKind.PRUNE):
            created = there.created
            self.pruned.add((component, created))
        order = {"kind": kind, "component": component, "at": self.world.clock.now(), "created": created}
        order |= {"artifact": {"uri": BY_HAND}, "replaces": {"uri": artifact("a").uri}}
        sk = "x" if other_key else f"{component}#{kind}"
        self.world.registry.write(
            ORDERS_PARTITION, sk.encode(errors="replace").decode(), **ORDERS[form](order)
        )
        self.world.start_machine("order")
        if wanted and component in UNTOUCHABLE:
            self.put({**self.wanted, component: 1}, True)

    @rule(name=st.sampled_from(NAMES), form=st.sampled_from(sorted(ROWS)))
    def spoil_row(self, name: str, form: str) -> None:
        """Let the row of an adapter be one that this release cannot read, until another release runs."""
        registry, component = self.world.registry, f"p-{name}"
        row = registry.items.get("records", {}).get(component)
        if row is None or component in self.unreadable:
            return
        registry.write("records", component, doc=ROWS[form](json.loads(row["doc"]["S"])))
        self.unreadable[component] = row, registry.items["records"][component]
        if form == "with a field of a later release":
            del self.unreadable[component]

    @rule(
        partition=st.sampled_from(["fleet", "generations"]),
        attribute=st.sampled_from(["doc", "learned", "generation", "outcome"]),
        value=st.sampled_from([{"S": "x"}, {"S": "{}"}, {"S": "[]"}, {"N": "0.5"}]),
    )
    def stop_the_fleet(self, partition: str, attribute: str, value: dict[str, str]) -> None:
        """Let passes run while the row of the fleet or its generation cannot be read: they write nothing."""
        items = self.world.registry.items[partition]
        sk = max(sk for sk in items if sk != "lease")
        item, writes = items[sk], len(self.world.writes())
        if attribute not in item:
            return
        self.blind, items[sk] = True, {**item, attribute: value}
        spoiled = items[sk]
        self.run(600.0, 2)
        self.blind = False
        assert self.world.writes()[writes:] == []
        if items[sk] is spoiled:
            items[sk] = item


class FleetOfAnyNames(Fleet):
    """Names that differ in nothing but their case, and adapters as large as a manifest may have them."""

    @rule(name=st.sampled_from(NAMES), version=st.integers(1, 3), as_object=st.booleans())
    def spell_otherwise(self, name: str, version: int, as_object: bool) -> None:
        spelled = next((one for one in self.wanted if one.lower() == name), name)
        self.put({**_without(self.wanted, spelled), spelled.swapcase(): version}, as_object)

    @rule(name=st.sampled_from(NAMES), version=st.integers(LARGE, LARGE + 7))
    def put_large(self, name: str, version: int) -> None:
        """Let the manifest of an adapter be as large as it may be, with a long probe or many tags."""
        if name in self.wanted:
            self.put({**self.wanted, name: version}, False)

    def _open_again(self) -> None:
        super()._open_again()
        for _ in NAMES:
            newest = self.world.newest()
            refused = re.match(r"([pP])-(\w) would become p-(\w),", newest.reason or "")
            if newest.outcome is not Outcome.REFUSED or refused is None:
                return
            # People keep the former spelling, as the refusal asks them to, or prune what a stranger made.
            prefix, former, latter = refused.groups()
            if prefix == "P":
                self.prune()
                self.settle()
                former = latter
            self.wanted = {
                former if name == latter else name: version for name, version in self.wanted.items()
            }
            super()._open_again()

    @rule(name=st.sampled_from(NAMES))
    def recreate_with_another_spelling(self, name: str) -> None:
        self.delete_by_hand(name)
        self.world.service.make(f"P-{name.upper()}", "s3://bucket/foreign.tar.gz")
        self._note_recreated(f"p-{name}", {})


def _without(values: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}


def _tags(name: str, version: int) -> dict[str, str]:
    if version >= LARGE:
        return {f"{index:02}": "漢" * 250 for index in range(20 * (version % 2))}
    return {"parity": str(version % 2)} if name.lower() in TAGGED and version > 1 else {}


def _adapters(manifest: dict[str, int]) -> tuple[DesiredAdapter, ...]:
    made = (
        adapter(
            name,
            version,
            smoke=SMOKE if name.lower() in SMOKED else None,
            tags=_tags(name, version),
            probed=name.lower() in PROBED,
            prompt="漢" * 2400 if version >= LARGE and not version % 2 else "Who?",
        )
        for name, version in sorted(manifest.items())
    )
    return tuple(replace(one, component=one.name) if one.name in UNTOUCHABLE else one for one in made)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("fleet", [Fleet, FleetOfAnyItems, FleetOfAnyNames])
def test_fleet_keeps_its_promises_whatever_happens(fleet: type[Fleet]) -> None:
    run_stories(fleet, examples=stories(30))
