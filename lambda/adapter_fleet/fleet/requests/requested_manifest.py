"""The manifest that a request means: the one in S3 or in the deployment, or for a rollback an earlier one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from adapter_fleet.common.findings import Finding
from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.state.generations import (
    Generation,
    Outcome,
    Request,
    Source,
    Target,
)
from adapter_fleet.fleet.state.known_versions import KnownVersions
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.manifest.desired import DesiredFleet
from adapter_fleet.manifest.manifest import Manifest, nothing_known
from adapter_fleet.manifest.manifest_adapter import ManifestError


class Manifests(Protocol):
    """Manifests in S3."""

    def read(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """Return the newest text of an object and its version, None if there is no such object."""

    def version(self, bucket: str, key: str) -> str | None:
        """Return the newest version of an object, None if there is none."""


@dataclass(frozen=True, kw_only=True)
class RequestedManifest:
    """Finds the manifest of a request."""

    registry: Registry
    manifests: Manifests

    def read(self, request: Request, asset: Mapping[str, str] | None) -> tuple[Request, DesiredFleet]:
        """Return what a request wants, and the request with the version of the manifest.

        An invalid manifest becomes the request's `refusal`, and the generation that it makes is refused. The
        manifest of a rollback is never refused.

        asset:
            Where the manifest of the deployment is; None for one in S3 that may change without a deployment.
        """
        before = self._rolled_back_to(request) or self._kept_by_code_alone(request, asset)
        if before is not None and (asset is None or before.request.source_digest == request.source_digest):
            return self._reuse(request, before)  # whatever has become of it in S3
        bucket, key = location_of(request.target) if asset is None else (asset["Bucket"], asset["Key"])
        where = f"s3://{bucket}/{key}"
        found = self.manifests.read(bucket, key)
        if found is None and before is not None:
            return self._reuse(request, before)  # the manifest that a rollback needs may be gone from S3
        if found is None:
            return self._without_manifest(request, where, may_come_later=asset is None)
        text, version = found
        request = replace(request, manifest_version=version)
        try:
            return request, desired_of(
                text, where=where, target=request.target, is_known=KnownVersions(self.registry)
            )
        except ManifestError as error:
            if before is not None:
                return self._reuse(request, before)
            return replace(request, refusal=str(error)), DesiredFleet()

    # --- rollbacks

    def _rolled_back_to(self, request: Request) -> Generation | None:
        """Return the generation that a rollback goes back to; None if the request is no rollback, or if none.

        That is the one in force before the deployment that is rolled back. If the manifest is in S3, the
        stack owns only its key: what came from there meanwhile stays.
        """
        newest = self.registry.generations.newest()
        if newest is None or not self.registry.lineage.is_undo(request, newest):
            return None
        target = request.target
        if target.manifest is not None:
            resolved = _resolves(target)
            found = self._newest_in_force(newest, lambda made: _resolves(made.request.target) == resolved)
            if found is not None:
                return found
        return self._newest_in_force(self._before_deployment(newest, request), lambda _: True)

    def _kept_by_code_alone(self, request: Request, asset: Mapping[str, str] | None) -> Generation | None:
        """Return the generation whose manifest from S3 new code keeps; None if the manifest is to be read.

        A manifest there that failed or was refused would fail the deployment of the code.
        """
        newest, lineage = self.registry.generations.newest(), self.registry.lineage
        if not request.code_alone or asset is not None:
            return None
        found = lineage.newest_not_refused(newest)
        if found is not None and found.outcome is Outcome.FAILED:
            found = lineage.previous_in_force(found)
        if found is None or found.request.source is Source.DELETION:
            return None
        return found if _resolves(found.request.target) == _resolves(request.target) else None

    def _before_deployment(self, newest: Generation, request: Request) -> Generation | None:
        """Return the generation before the deployment that a request rolls back."""
        last = self.registry.generations.find(newest.deployment)
        if last is not None and last.undo:
            undone = self.registry.lineage.undone_number(last)
            last = self.registry.generations.find(undone or last.number)
        if last is None or last.request.source_digest == request.source_digest:
            return last  # the deployment that is rolled back never made a generation
        return self.registry.generations.find(last.standing)

    def _newest_in_force(
        self, newest: Generation | None, counts: Callable[[Generation], bool]
    ) -> Generation | None:
        """Return the newest generation up to this one that was in force and counts.

        None if there is none since the last deletion of the fleet.
        """
        while newest is not None and not (newest.reported_success and counts(newest)):
            newest = self.registry.lineage.previous_in_force(newest)
            if newest is not None and newest.request.source is Source.DELETION:
                return None
        return newest

    def _reuse(self, request: Request, before: Generation) -> tuple[Request, DesiredFleet]:
        """Return the request with the manifest of an earlier generation."""
        # The version that an undo has is that of the manifest that it took back.
        undo = before.request.source is Source.UNDO
        version = None if undo else before.request.manifest_version
        return replace(request, manifest_version=version), self.registry.generations.desired(before.number)

    def _without_manifest(
        self, request: Request, where: str, *, may_come_later: bool
    ) -> tuple[Request, DesiredFleet]:
        if not may_come_later:
            raise FleetError(
                f"the manifest {where} is not there; 'adapters publish' with '--manifest' writes one"
            )
        fleet = self.registry.fleet()
        if fleet is None or not fleet.converged:
            return request, DesiredFleet()  # the first manifest is still to come
        return request, self.registry.generations.desired(fleet.converged)


def location_of(target: Target) -> tuple[str, str]:
    """Return the bucket and the key of the manifest in S3."""
    return bucket_and_key(target.manifest or "")


def _resolves(target: Target) -> tuple[object, ...]:
    """Return everything of a target that changes what a manifest means."""
    return (
        target.manifest,
        target.prefix,
        target.buckets,
        target.archives,
        target.kept_archives,
        target.settings.smoke,
    )


def desired_of(
    text: bytes, *, where: str, target: Target, is_known: Callable[[str, str], bool] = nothing_known
) -> DesiredFleet:
    """Return what a manifest wants of a fleet with this target. Raises ManifestError with every error."""
    manifest = Manifest.parse(text, where=where, folder=None)
    findings = findings_of(manifest, target, is_known)
    if findings:
        raise ManifestError(findings)
    return resolved(manifest, target)


def findings_of(
    manifest: Manifest, target: Target, is_known: Callable[[str, str], bool] = nothing_known
) -> list[Finding]:
    """Apply the rules of a manifest for a fleet with this target.

    `is_known` is called with an adapter's name and the digest of a version that needs no evaluation.
    """
    return manifest.findings(
        prefix=target.prefix,
        max_lora_rank=target.settings.max_lora_rank,
        base_model=target.settings.base_model,
        fleet_tags=target.tags,
        evaluation=target.settings.bar_beside(target.base),
        is_known=is_known,
        buckets=target.buckets,
        archives=target.archives,
        releases=target.settings.releases is not None,
    )


def resolved(manifest: Manifest, target: Target) -> DesiredFleet:
    """Return what a manifest without findings wants of a fleet with this target."""
    return manifest.resolve(
        prefix=target.prefix,
        buckets=target.buckets,
        archives=target.archives,
        kept_archives=target.kept_archives,
        smoke=target.settings.smoke,
    )
