"""Turns CloudFormation's events and new manifests in S3 into generations. Changes only the registry."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adapter_fleet.common.clock import Clock
from adapter_fleet.common.serialization import converter
from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.requests.requested_manifest import Manifests, RequestedManifest, location_of
from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.fleet.state.generations import (
    Generation,
    Request,
    Source,
    Target,
)
from adapter_fleet.fleet.state.records import FleetRecord
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.rows.generation_rows import OvertakenError
from adapter_fleet.manifest.desired import DesiredFleet
from adapter_fleet.manifest.value_rules import problem_of_tag


@dataclass(frozen=True, kw_only=True)
class StackState:
    """The state of the fleet's stack, as CloudFormation describes it."""

    rolling_back: bool
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RequestHandler:
    """Handles requests. Every method returns within seconds, and may be called any number of times.

    start_machine:
        Starts an execution for a trigger. Does nothing if one of the same key has started before.
    describe_stack:
        Returns the state of a stack; None if CloudFormation does not answer.
    """

    uid: str
    name: str
    machine: str
    registry: Registry
    manifests: Manifests
    clock: Clock
    start_machine: Callable[[str, str], None]
    describe_stack: Callable[[str], StackState | None]

    # --- events of CloudFormation

    def on_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Make a generation of an event; return what its `is_complete` needs."""
        properties = event["ResourceProperties"]
        self._check_identity(event)
        self.registry.register(FleetRecord(uid=self.uid, name=self.name, machine=self.machine))
        delivery = _hash([event["RequestId"], event.get("ResponseURL", "")])
        before = event.get("OldResourceProperties")
        deletion = event["RequestType"] == "Delete"
        stack = self.describe_stack(event["StackId"])
        request = Request(
            delivery=delivery,
            source=Source.DELETION if deletion else Source.DEPLOYMENT,
            target=self._with_stack_tags(target_of(properties), stack),
            at=self.clock.now(),
            # With the code: an earlier release, too, has to recognize the deployment that it takes back.
            source_digest=_digest(properties),
            previous_digest=None if before is None else _digest(before),
            code_alone=before is not None and _digest(before, _CODE) == _digest(properties, _CODE),
            # A creation never rolls back, but a deletion may roll a creation back.
            rolling_back=None if event["RequestType"] == "Create" or stack is None else stack.rolling_back,
        )
        self._check_releases(request, before)
        if deletion:
            generation = self.registry.generations.open(request, DesiredFleet())
        else:
            generation = self._open_deployment(request, properties.get("Manifest"))
        self.start_machine("deployment", f"{generation.number}-{delivery[:16]}")
        return {"PhysicalResourceId": self.uid, "Generation": generation.number}

    def _open_deployment(self, request: Request, asset: Mapping[str, str] | None) -> Generation:
        """Open a generation for a deployment; read the manifest again if another came meanwhile."""
        while True:
            fleet = self.registry.fleet()
            assert fleet is not None  # it is registered
            try:
                return self.registry.generations.open(
                    *self._requested_manifest.read(request, asset), after=fleet.generation
                )
            except OvertakenError:
                continue

    def _with_stack_tags(self, target: Target, stack: StackState | None) -> Target:
        """Return a target whose components also get the stack's tags, as native resources do.

        CloudFormation does not pass a stack's tags on to a custom resource. If it does not answer, the tags
        of the newest generation stay: removing and restoring them would be two writes for each component.
        """
        if stack is None:
            newest = self.registry.generations.newest()
            inherited = {} if newest is None else newest.request.target.tags
        else:
            # Tags of AWS and of the fleet itself cannot be inherited.
            inherited = {key: tag for key, tag in stack.tags.items() if problem_of_tag(key, tag) is None}
        return replace(target, tags={**inherited, **target.tags})

    def _check_identity(self, event: Mapping[str, Any]) -> None:
        """Raise FleetError if the event is for another fleet, or would give this fleet another identity.

        If an update is answered with another physical id, CloudFormation deletes the fleet of the old one
        after the update (AWS::CloudFormation::CustomResource, "Replacing a custom resource during an
        update"). Until then, no component with the old tag would belong to this fleet.
        """
        given = event["ResourceProperties"]["FleetUid"]
        if event["RequestType"] == "Update" and given != (deployed := event["PhysicalResourceId"]):
            raise FleetError(
                f"'FleetUid' should be '{deployed}' as long as the fleet is there, got '{given}': its"
                f" construct was moved or renamed; give it fleet_uid='{deployed}', or bring it back"
            )
        if given != self.uid:
            raise FleetError(f"'FleetUid' should be '{self.uid}', that of the function, got '{given}'")

    def _check_releases(self, request: Request, before: Mapping[str, Any] | None) -> None:
        """Raise FleetError if one update brings `releases` and the first code that may know them.

        If it is rolled back, the code before deletes the versions that callers are sent to.
        """
        if request.target.settings.releases is None or before is None or _CODE in before:
            return
        if target_of(before).settings.releases is not None or request.rolling_back is True:
            return
        if not self.registry.lineage.is_undo(request, self.registry.generations.newest()):
            raise FleetError(
                "'releases' should be off in the update to this release of the functions, got them on: if it"
                " is rolled back, the code before deletes the versions that callers are sent to; deploy once"
                " without 'releases', then with them"
            )

    # --- manifests in S3

    def manifest_changed(self, sequencer: str) -> Generation | None:
        """Make a generation of the newest manifest in S3; None if that is in force, or there is no fleet.

        sequencer:
            That of S3's event. An event may come twice, late, or after the one that follows it.
        """
        newest = self.registry.generations.newest()
        if newest is None or newest.request.source is Source.DELETION:
            return None
        target = self._target_in_force(newest)
        version = None if target.manifest is None else self.manifests.version(*location_of(target))
        if version is None:
            return None
        # After an undo, a person may want the same manifest again: then there is an event.
        if version == newest.request.manifest_version and newest.request.source is not Source.UNDO:
            self._start_for(newest)
            return None
        request = Request(delivery="", source=Source.OBJECT, target=target, at=self.clock.now())
        request, desired = self._requested_manifest.read(request, None)
        if request.manifest_version is None:
            return None  # it was deleted meanwhile
        request = replace(
            request,
            delivery=f"object-{request.manifest_version}-{sequencer}",
            source_digest=desired.digest,
            previous_digest=newest.request.source_digest,
        )
        try:
            generation = self.registry.generations.open(request, desired, after=newest.number)
        except OvertakenError:
            return self.manifest_changed(sequencer)  # the newer generation may have another target
        if generation.number <= newest.number:
            return None  # the event has come before
        self._start_for(generation)
        # A call for another event may have read a newer manifest and lost the race.
        return self.manifest_changed(sequencer) or generation

    def reread(self) -> Generation | None:
        """Make a generation of the manifest in S3 if its event was lost; None if there is nothing new.

        A manifest that was refused or undone is not taken again until a person writes another one.
        """
        newest = self.registry.generations.newest()
        if newest is None or newest.request.source is Source.DELETION:
            return None
        target = self._target_in_force(newest)
        if target.manifest is None:
            return None
        version = self.manifests.version(*location_of(target))
        if version is None or self.registry.lineage.is_taken_up(version, newest):
            return None
        # The number tells it from an earlier one of the same version: a bucket may have no versioning.
        return self.manifest_changed(f"after-{newest.number}")

    def catch_up(self, number: int) -> None:
        """Make a generation of the manifest in S3 after a rollback went back to another one.

        The rollback passed no guard, and this generation has to.
        """
        undo = self.registry.generations.find(number)
        if undo is not None and undo.undo:
            self.reread()

    def _start_for(self, generation: Generation) -> None:
        """Start the state machine for a manifest in S3, once, however often its event comes.

        The call that made the generation may have died before it started the machine.
        """
        if generation.request.source is Source.OBJECT:
            self.start_machine("object", f"{generation.number}-{generation.request.delivery}")

    # --- the registry

    @property
    def _requested_manifest(self) -> RequestedManifest:
        return RequestedManifest(registry=self.registry, manifests=self.manifests)

    def _target_in_force(self, newest: Generation) -> Target:
        """Return the target that counts: that of the newest generation that was not refused."""
        return (self.registry.lineage.newest_not_refused(newest) or newest).request.target


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


_CODE = "CodeDigest"
"""The property that starts a pass after a deployment of new code alone."""


def _digest(properties: Mapping[str, Any], *ignored: str) -> str:
    return _hash({key: value for key, value in properties.items() if key not in ("ServiceToken", *ignored)})


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
