"""What asks for a generation: CloudFormation's events and new manifests in S3. Touches only the registry."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from adapter_fleet.common.bounded_text import bounded
from adapter_fleet.common.clock import Clock
from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.common.serialization import converter
from adapter_fleet.fleet.state.generations import (
    Generation,
    Outcome,
    Request,
    Source,
    Target,
    is_undo,
    newest_not_refused,
    undone_number,
)
from adapter_fleet.fleet.state.records import FleetRecord
from adapter_fleet.fleet.state.registry import STALLED_SECONDS, OvertakenError, Registry
from adapter_fleet.fleet.state.settings import FleetSettings, OnTimeout
from adapter_fleet.manifest.desired import DesiredFleet
from adapter_fleet.manifest.manifest import Manifest, ManifestError
from adapter_fleet.manifest.rules import problem_of_tag

LONGEST_SUMMARY_BYTES = 2500
LONGEST_ERROR_BYTES = 1500
"""A response to CloudFormation may have 4,096 bytes in all, as JSON."""

LONGEST_PASS_SECONDS = 20 * 60.0
"""A pass may take 15 minutes: none that has not ended by then goes on."""

STANDSTILL_PASSES = 3
"""After so many failed passes in a row, a deployment whose time is up has failed: nothing is on its way."""


class FleetError(Exception):
    """The fleet cannot be what was asked for; the message goes to CloudFormation, which takes no long one."""

    def __init__(self, message: str) -> None:
        super().__init__(bounded(message, LONGEST_ERROR_BYTES))


class Manifests(Protocol):
    """Manifests in S3."""

    def read(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """Return the newest text of an object and its version, None where there is no such object."""

    def look(self, bucket: str, key: str) -> tuple[str, float] | None:
        """Return the newest version of an object and when it was written, None where there is none."""


@dataclass(frozen=True, kw_only=True)
class StackState:
    """What CloudFormation says of the stack that a fleet is in."""

    rolling_back: bool
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Intake:
    """Takes requests in. Every method returns within seconds, and may be called any number of times.

    start_machine:
        Starts an execution for a trigger, and does nothing where one of the same key was started already.
    describe_stack:
        Returns the state of a stack; None where CloudFormation does not answer.
    """

    uid: str
    name: str
    machine: str
    registry: Registry
    manifests: Manifests
    clock: Clock
    start_machine: Callable[[str, str], None]
    describe_stack: Callable[[str], StackState | None]

    def on_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Take in an event of CloudFormation; return what its `is_complete` needs."""
        properties = event["ResourceProperties"]
        self._check_identity(event)
        self._register()
        delivery = _hash([event["RequestId"], event.get("ResponseURL", "")])
        before = event.get("OldResourceProperties")
        deletion = event["RequestType"] == "Delete"
        stack = self.describe_stack(event["StackId"])
        request = Request(
            delivery=delivery,
            source=Source.DELETION if deletion else Source.DEPLOYMENT,
            target=self._with_stack_tags(
                target_of(properties), stack, left_out=properties.get("StackTagsLeftOut", ())
            ),
            at=self.clock.now(),
            source_digest=_digest(properties),
            previous_digest=None if before is None else _digest(before),
            # A creation is no rollback; a deletion may take one back.
            rolling_back=None if event["RequestType"] == "Create" or stack is None else stack.rolling_back,
        )
        if deletion:
            generation = self.registry.open_generation(request, DesiredFleet())
        else:
            generation = self._open(request, properties.get("Manifest"))
        self.start_machine("deployment", f"{generation.number}-{delivery[:16]}")
        return {"PhysicalResourceId": self.uid, "Generation": generation.number}

    def _with_stack_tags(
        self, target: Target, stack: StackState | None, *, left_out: Collection[str]
    ) -> Target:
        """Return a target whose components get the stack's tags, too, as every native resource does.

        CloudFormation does not pass them on to a custom resource. Where it does not answer, the tags of the
        newest generation stay: to take them off and put them back would be two writes for each component.
        """
        if stack is None:
            fleet = self.registry.fleet()
            newest = None if fleet is None else self.registry.generation(fleet.generation)
            inherited = {} if newest is None else newest.request.target.tags
        else:
            # Those of AWS, and the fleet's own, are not the stack's to give.
            inherited = {key: tag for key, tag in stack.tags.items() if problem_of_tag(key, tag) is None}
        kept = {key: tag for key, tag in inherited.items() if key not in left_out}
        return replace(target, tags={**kept, **target.tags})

    def _open(self, request: Request, asset: Mapping[str, str] | None) -> Generation:
        """Number a deployment with what it wants, read once more where a manifest came meanwhile."""
        while True:
            fleet = self.registry.fleet()
            assert fleet is not None  # it is registered
            try:
                return self.registry.open_generation(*self._desired(request, asset), after=fleet.generation)
            except OvertakenError:
                continue

    def is_complete(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Say whether the event's generation is done; FleetError where it has failed."""
        number = int(event["Generation"])
        asked = self.registry.generation(number)
        if asked is None:
            if event["RequestType"] == "Delete":
                return {"IsComplete": True}
            raise FleetError(f"the registry has lost generation {number}; deploy again")
        generation, fleet = self._heir(asked), self.registry.fleet()
        if generation.outcome is Outcome.CONVERGED:
            return {"IsComplete": True, "Data": data_of(generation)}
        if generation.outcome is not Outcome.OPEN and not self._goes_on(generation, fleet):
            if asked.undo:  # CloudFormation could not do anything about it
                return {"IsComplete": True, "Data": data_of(generation, undo=True)}
            raise FleetError(generation.reason or f"generation {number} is {generation.outcome}")
        now = self.clock.now()
        if fleet is not None and now - max(fleet.heartbeat, generation.request.at) > STALLED_SECONDS:
            self.start_machine("deployment", f"{generation.number}-again-{int(now / STALLED_SECONDS)}")
        settings = asked.request.target.settings
        if now - asked.request.at < settings.timeout_seconds:
            return {"IsComplete": False}
        standstill = self._standstill(generation, fleet)
        return self._timed_out(generation, settings, undo=asked.undo, standstill=standstill)

    def manifest_changed(self, sequencer: str) -> Generation | None:
        """Take in the newest manifest in S3; None where that is in force already, or there is no fleet.

        sequencer:
            That of S3's event. An event may come twice, late, and after the one that follows it.
        """
        fleet = self.registry.fleet()
        newest = None if fleet is None else self.registry.generation(fleet.generation)
        if newest is None or newest.request.target.manifest is None:
            return None
        if newest.request.source is Source.DELETION:
            return None
        # Of settings that were refused nothing counts.
        target = (newest_not_refused(newest, self.registry.generation) or newest).request.target
        request = Request(delivery="", source=Source.OBJECT, target=target, at=self.clock.now())
        request, desired = self._desired(request, None)
        version = request.manifest_version
        if version is None:
            return None
        # Where a manifest was taken back, the same one may be wanted again: the event tells.
        if version == newest.request.manifest_version and newest.request.source is not Source.UNDO:
            self._start_for(newest)
            return None
        request = replace(
            request,
            delivery=f"object-{version}-{sequencer}",
            source_digest=desired.digest,
            previous_digest=newest.request.source_digest,
        )
        try:
            generation = self.registry.open_generation(request, desired, after=newest.number)
        except OvertakenError:
            return self.manifest_changed(sequencer)  # it may have another target
        if generation.number <= newest.number:
            return None  # the event has come before
        self._start_for(generation)
        # Another event may have read a newer one, and been faster than this one.
        return self.manifest_changed(sequencer) or generation

    def reread(self) -> Generation | None:
        """Take in the manifest in S3 if its version is not the one that was taken last.

        Its event was lost then, or is on its way. None where nothing new is there. What was refused or
        taken back is not taken again, as no person has written it since.
        """
        fleet = self.registry.fleet()
        newest = None if fleet is None else self.registry.generation(fleet.generation)
        if newest is None or newest.request.source is Source.DELETION:
            return None
        target = (newest_not_refused(newest, self.registry.generation) or newest).request.target
        if target.manifest is None:
            return None
        found = self.manifests.look(*_place(target))
        if found is None or found[0] == newest.request.manifest_version:
            return None
        if newest.undo and found[0] == self._turned_down(newest):
            return None
        # With its time: in a bucket without versioning, what was there before may be there again.
        return self.manifest_changed(f"seen-{found[1]:.0f}")

    def catch_up(self, number: int) -> None:
        """Take in the manifest in S3 where a rollback went back to another one.

        The rollback brought back what was in force, with no guard; this one has to pass them. One that was
        refused or has failed is left alone.
        """
        undo = self.registry.generation(number)
        if undo is None or not undo.undo or undo.request.target.manifest is None:
            return
        found = self.manifests.read(*_place(undo.request.target))
        if found is not None and found[1] != self._turned_down(undo):
            self.manifest_changed(f"after-{number}")

    def _turned_down(self, undo: Generation) -> str | None:
        """Return the version of the manifest in S3 that was wanted last, if it was refused or failed."""
        latest: Generation | None = undo
        while latest is not None and (
            latest.exempt or latest.request.target.manifest != undo.request.target.manifest
        ):
            latest = self.registry.generation(latest.number - 1)
        if latest is None or latest.outcome not in (Outcome.REFUSED, Outcome.FAILED):
            return None
        return latest.request.manifest_version

    def _start_for(self, generation: Generation) -> None:
        """Start the state machine for a manifest in S3: once, however often its event comes.

        Whoever made the generation may have died before.
        """
        if generation.request.source is Source.OBJECT:
            self.start_machine("object", f"{generation.number}-{generation.request.delivery}")

    def _check_identity(self, event: Mapping[str, Any]) -> None:
        """Raise FleetError where the event is another fleet's, or would make another one of this fleet.

        To answer an update with another physical id would have CloudFormation delete the fleet of the one
        before, once all else is done (AWS::CloudFormation::CustomResource, "Replacing a custom resource
        during an update"), and meanwhile nothing that has the tag before would be this fleet's.
        """
        given = event["ResourceProperties"]["FleetUid"]
        if event["RequestType"] == "Update" and given != (deployed := event["PhysicalResourceId"]):
            raise FleetError(
                f"'FleetUid' should be '{deployed}' as long as the fleet is there, got '{given}': its"
                f" construct was moved or renamed; give it fleet_uid='{deployed}', or bring it back"
            )
        if given != self.uid:
            raise FleetError(f"'FleetUid' should be '{self.uid}', that of the function, got '{given}'")

    def _register(self) -> None:
        self.registry.register(FleetRecord(uid=self.uid, name=self.name, machine=self.machine))

    def _heir(self, generation: Generation) -> Generation:
        """Return the generation that does what was asked of this one.

        A manifest that comes from S3 during a deployment makes a generation with the same target. So does
        what takes such a manifest back.
        """
        while generation.outcome is Outcome.SUPERSEDED or (
            generation.outcome is Outcome.FAILED and generation.request.source is Source.OBJECT
        ):
            following = self._following(generation)
            if following is None or following.request.source not in (Source.OBJECT, Source.UNDO):
                break
            generation = following
        return generation

    def _following(self, generation: Generation) -> Generation | None:
        """Return the generation after one, leaving out those that were refused."""
        following = self.registry.generation(generation.number + 1)
        while following is not None and following.outcome is Outcome.REFUSED:
            following = self.registry.generation(following.number + 1)
        return following

    def _goes_on(self, generation: Generation, fleet: FleetRecord | None) -> bool:
        """Tell whether a generation that has ended is about to be open again, or taken back."""
        if self._following(generation) is not None:
            return False
        if generation.outcome is Outcome.SUPERSEDED:
            return True  # by what was then refused
        taken_back = generation.outcome is Outcome.FAILED and generation.request.source is Source.OBJECT
        return taken_back and fleet is not None and fleet.converged > 0

    def _desired(self, request: Request, asset: Mapping[str, str] | None) -> tuple[Request, DesiredFleet]:
        """Read the manifest; one that is wrong is refused by the pass, after it is numbered."""
        before = self._before(request)
        if before is not None and (asset is None or before.request.source_digest == request.source_digest):
            return self._again(request, before)  # as it was then, whatever became of it in S3
        bucket, key = _place(request.target) if asset is None else (asset["Bucket"], asset["Key"])
        found = self.manifests.read(bucket, key)
        if found is None and before is not None:
            return self._again(request, before)  # what a rollback needs may be gone from S3
        if found is None:
            return self._without_manifest(request, f"s3://{bucket}/{key}", asset is None)
        text, version = found
        request = replace(request, manifest_version=version)
        try:
            return request, desired_of(text, where=f"s3://{bucket}/{key}", target=request.target)
        except ManifestError as error:
            if before is not None:
                return self._again(request, before)  # a rollback is never refused
            return replace(request, refusal=str(error)), DesiredFleet()

    def _before(self, request: Request) -> Generation | None:
        """Return what a rollback goes back to; None for what is no rollback, or has nothing to go back to.

        That is what was in force before the deployment that is rolled back. But where the manifest is in S3,
        the stack owns the key alone: what came from the same place meanwhile stays.
        """
        fleet = self.registry.fleet()
        newest = None if fleet is None else self.registry.generation(fleet.generation)
        if newest is None or not is_undo(request, newest, self.registry.generation):
            return None
        target = request.target
        if target.manifest is not None:
            found = self._in_force(newest, lambda made: _resolves_alike(made.request.target, target))
            if found is not None:
                return found
        return self._in_force(self._before_deployment(newest, request), lambda _: True)

    def _before_deployment(self, newest: Generation, request: Request) -> Generation | None:
        """Return what stood before the deployment that a request rolls back."""
        last = self.registry.generation(newest.deployment)
        if last is not None and not last.undo and last.request.source_digest == request.source_digest:
            return last  # the deployment that is rolled back was never taken in
        if last is not None and last.undo:
            undone = undone_number(last, self.registry.generation)
            last = None if undone is None else self.registry.generation(undone)
        return None if last is None else self.registry.generation(last.standing)

    def _in_force(self, newest: Generation | None, counts: Callable[[Generation], bool]) -> Generation | None:
        """Return the newest one up to this that was in force and counts, None where a deletion is before."""
        while newest is not None and not (newest.reported_success and counts(newest)):
            newest = self.registry.generation(newest.standing)
            if newest is not None and newest.request.source is Source.DELETION:
                return None
        return newest

    def _again(self, request: Request, before: Generation) -> tuple[Request, DesiredFleet]:
        """Return the manifest of an earlier generation."""
        # What took a manifest back has the version of that.
        took_back = before.request.source is Source.UNDO
        version = None if took_back else before.request.manifest_version
        return replace(request, manifest_version=version), self.registry.desired(before.number)

    def _without_manifest(
        self, request: Request, where: str, may_come_later: bool
    ) -> tuple[Request, DesiredFleet]:
        if not may_come_later:
            raise FleetError(f"the manifest {where} is not there")
        fleet = self.registry.fleet()
        if fleet is None or not fleet.converged:
            return request, DesiredFleet()  # the first manifest is still to come
        return request, self.registry.desired(fleet.converged)

    def _timed_out(
        self, generation: Generation, settings: FleetSettings, *, undo: bool, standstill: str | None
    ) -> dict[str, Any]:
        pending = generation.pending
        minutes = settings.timeout_seconds / 60
        why = standstill or generation.reason
        trouble = f": {why}" if why else ""
        if generation.request.source is Source.DELETION:
            raise FleetError(
                f"after {minutes:g} minutes {pending} adapters are left{trouble}; delete again to go on"
            )
        if undo or generation.exempt:
            return {"IsComplete": True, "Data": data_of(generation, undo=undo)}
        if generation.changes is None:
            raise FleetError(f"after {minutes:g} minutes nothing is known of the fleet{trouble}")
        if settings.on_timeout is OnTimeout.SUCCEED and standstill is None:
            return {"IsComplete": True, "Data": data_of(generation)}
        raise FleetError(f"after {minutes:g} minutes {pending} adapters are pending{trouble}")

    def _standstill(self, generation: Generation, fleet: FleetRecord | None) -> str | None:
        """Return why nothing is on its way any more, None where passes go on."""
        if fleet is None:
            return "the registry does not know the fleet"
        if fleet.failed_passes >= STANDSTILL_PASSES:
            return f"{fleet.failed_passes} passes in a row have failed: {fleet.trouble}"
        silent = self.clock.now() - max(fleet.heartbeat, generation.request.at)
        unended = self.clock.now() - max(fleet.pass_ended, generation.request.at)
        silent = unended if unended > LONGEST_PASS_SECONDS else silent
        if silent > STALLED_SECONDS:
            last = f" ({generation.reason})" if generation.reason else ""
            return (
                f"no pass has ended for {silent / 60:.0f} minutes{last}; see the log of the function RunPass"
            )
        return None


def _place(target: Target) -> tuple[str, str]:
    """Return the bucket and the key of the manifest in S3."""
    return bucket_and_key(target.manifest or "")


def _resolves_alike(one: Target, other: Target) -> bool:
    """Tell whether the same manifest is the same adapters for two targets."""
    return _resolves(one) == _resolves(other)


def _resolves(target: Target) -> tuple[object, ...]:
    """Return all that decides which adapters a manifest is."""
    return (
        target.manifest,
        target.prefix,
        target.buckets,
        target.archives,
        target.kept_archives,
        target.settings.smoke,
    )


def desired_of(text: bytes, *, where: str, target: Target) -> DesiredFleet:
    """Return what a manifest wants of a fleet with this target; ManifestError with all that is wrong."""
    settings = target.settings
    return Manifest.parse(text, where=where, folder=None).resolve(
        prefix=target.prefix,
        buckets=target.buckets,
        archives=target.archives,
        kept_archives=target.kept_archives,
        smoke=settings.smoke,
        max_lora_rank=settings.max_lora_rank,
        base_model=settings.base_model,
        fleet_tags=target.tags,
    )


def target_of(properties: Mapping[str, Any]) -> Target:
    """Return the target that the custom resource's properties describe."""
    object_ = properties.get("ManifestObject")
    hosting = properties.get("Hosting")
    return Target(
        endpoint=properties["EndpointName"],
        base=properties["BaseComponentName"],
        prefix=properties["ComponentPrefix"],
        settings=converter.structure(json.loads(properties["Settings"]), FleetSettings),
        tags=dict(properties.get("Tags", {})),
        buckets=dict(properties.get("Buckets", {})),
        archives=dict(properties.get("Archives", {})),
        kept_archives=properties.get("KeptArchives"),
        manifest=None if object_ is None else f"s3://{object_['Bucket']}/{object_['Key']}",
        hosting=None if hosting is None else json.dumps(hosting, sort_keys=True),
    )


def data_of(generation: Generation, *, undo: bool = False) -> dict[str, str]:
    """Return the attributes of the custom resource.

    undo:
        Whether it came in the place of one that was to take a deployment back.
    """
    counts = {
        "Desired": generation.desired,
        "InService": generation.in_service,
        "Failed": generation.failed,
        "Pending": generation.pending,
        "Orphans": generation.orphans,
    }
    words = [f"{generation.in_service} of {generation.desired} adapters in service"]
    if generation.failed:
        words.append(f"{generation.failed} failed")
    if generation.pending:
        words.append(f"{generation.pending} pending")
    if generation.orphans:
        words.append(
            f"{generation.orphans} with the fleet's tag that no manifest wants ('adapters prune' lists them)"
        )
    summary = ", ".join(words)
    if (undo or generation.undo) and (generation.failed or generation.pending):
        summary = f"degraded: {summary}"
    if generation.reason:
        summary = f"{summary}: {generation.reason}"
    return {name: str(count) for name, count in counts.items()} | {
        "Summary": bounded(summary, LONGEST_SUMMARY_BYTES)
    }


def _digest(properties: Mapping[str, Any]) -> str:
    return _hash({key: value for key, value in properties.items() if key != "ServiceToken"})


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
