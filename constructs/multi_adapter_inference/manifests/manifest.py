"""The manifest of a fleet: what is declared, and what the fleet's resources need of it."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aws_cdk import Annotations, Duration, FileAssetLocation
from aws_cdk import aws_s3 as s3
from constructs import Construct

from adapter_fleet.common.findings import Finding, Severity, shortened
from adapter_fleet.common.naming import adapter_component
from adapter_fleet.common.s3_uri import SCHEME, bucket_and_key
from adapter_fleet.common.validators import TOKEN, check_known
from adapter_fleet.evaluation import EvaluationBar
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import (
    BucketArtifact,
    LocalArtifact,
    ManifestAdapter,
    ManifestError,
    S3Artifact,
)
from adapter_rules.archives.local_artifacts import CheckedArtifacts, DeclaredArtifact, check_local_artifacts
from adapter_rules.archives.packing import identity_of
from adapter_rules.checks.requirements_and_remedies import with_remedy
from multi_adapter_inference.adapters.artifact import ADAPTER_ARCHIVES, pack_checked
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.durations import check_minutes
from multi_adapter_inference.components.base_component_interface import IBaseComponent
from multi_adapter_inference.manifests.fleet_adapter import FleetAdapter, manifest_adapter, unresolved
from multi_adapter_inference.models.artifact_source import described, may_hold
from multi_adapter_inference.template.asset_folder import AssetFolder

MOST_LOCAL_ARTIFACTS = 50
"""Every synth checks, hashes and packs each one, and its address is a property of the custom resource."""

MANIFESTS = AssetFolder(name="adapter-manifests", suffix=".json")

_REREAD_EVERY = Duration.minutes(15)

_PLACEHOLDER_PREFIX = "p"
"""Stands for a prefix that is a token, so that the rest of each name can be checked."""
_MOST_SHOWN = 20
"""Findings that an error lists. More are mostly the same one, of each adapter."""


@checked
class AdapterManifest(ABC):
    """The adapters of a fleet. Made by one of the `from_*`.

    Example::

        manifest = AdapterManifest.from_file("environments/local.adapters.yaml")
        AdapterFleet(stack, "Fleet", endpoint=endpoint, manifest=manifest)
    """

    @staticmethod
    def from_file(path: str | Path, *, buckets: Mapping[str, s3.IBucket] | None = None) -> AdapterManifest:
        """Use a YAML or JSON document on this machine. Its paths are relative to the file.

        buckets:
            The buckets that the document names by alias, `artifact: {bucket: <alias>, key: …}`, as only the
            deployment knows the names of buckets of the same app.
        """
        if str(path).startswith("s3:/"):  # pathlib makes one slash of two
            raise ValueError(
                f"'path' should be a file of this machine, got {str(path)!r};"
                " AdapterManifest.from_bucket(bucket, key) takes one in S3"
            )
        return _FileManifest(Path(path), buckets or {})

    @staticmethod
    def from_adapters(adapters: Sequence[FleetAdapter], *, base_model: str | None = None) -> AdapterManifest:
        """Use adapters listed in code.

        base_model:
            The name that the endpoint's base model must have. Default: not compared.
        """
        return _ListedManifest(tuple(adapters), base_model)

    @staticmethod
    def from_bucket(
        bucket: s3.IBucket,
        key: str,
        *,
        buckets: Mapping[str, s3.IBucket] | None = None,
        enable_events: bool = True,
        reread_every: Duration = _REREAD_EVERY,
    ) -> AdapterManifest:
        """Use a document in S3: a new version of the object takes effect without a deployment.

        The stack owns the key, but not the object.

        buckets:
            As in `from_file`.
        enable_events:
            Make the bucket send its events to EventBridge. Set it to False for a bucket of another app that
            does so already.
        reread_every:
            How often to look for a version whose event was lost, by one HeadObject. Each drift check and each
            order of the `adapters` command looks, too. Default: 15 minutes.
        """
        if key.startswith(SCHEME):
            raise ValueError(f"'key' should be the key alone, without the bucket, got {key!r}")
        return _StoredManifest(
            bucket, key, buckets or {}, enable_events=enable_events, reread_every=reread_every
        )

    @abstractmethod
    def _bind(
        self,
        fleet: Construct,
        endpoint: IBaseComponent,
        prefix: str,
        evaluation: EvaluationBar | None,
        releases: bool,
        /,
    ) -> BoundManifest:
        """Check the manifest and stage it. Raises ValueError with every error in it.

        evaluation:
            What the evaluation of each version should reach, as far as synth knows the manifest.
        releases:
            True if each version is a component of its own.
        """


class _DocumentManifest(AdapterManifest):
    """A manifest that synth knows."""

    @abstractmethod
    def _read(self) -> tuple[Manifest, Mapping[str, s3.IBucket]]:
        """Return the manifest, with the buckets by alias."""

    def _bind(
        self,
        fleet: Construct,
        endpoint: IBaseComponent,
        prefix: str,
        evaluation: EvaluationBar | None,
        releases: bool,
        /,
    ) -> BoundManifest:
        try:
            manifest, buckets = self._read()
        except ManifestError as error:
            raise _error(error.findings) from None
        bucket_names = {alias: bucket.bucket_name for alias, bucket in buckets.items()}
        known = {bucket_names[alias]: bucket for alias, bucket in buckets.items()}
        known_prefix = _PLACEHOLDER_PREFIX if TOKEN in prefix else prefix
        local = _local_artifacts(manifest)
        checked = _check_local(local, endpoint)
        for finding in (*checked.findings, *shortened(manifest.warnings())):
            if finding.severity is Severity.WARNING:
                Annotations.of(fleet).add_warning_v2(f"multi-adapter-inference:{finding.rule}", str(finding))
        findings = [
            *manifest.findings(
                prefix=known_prefix,
                max_lora_rank=None if endpoint.lora is None else endpoint.lora.max_lora_rank,
                base_model=None if endpoint._base_model_facts is None else endpoint._base_model_facts.name,
                evaluation=evaluation,
                buckets=bucket_names,
                archives={},
                releases=releases,
            ),
            *_misplaced(manifest, endpoint, bucket_names),
            *(finding for finding in checked.findings if finding.severity is Severity.ERROR),
        ]
        if findings:
            raise _error(findings)
        compiled = manifest.with_assets(checked.identities)
        archives = _stage_archives(fleet, local, checked.identities)
        try:
            compiled.check_size()
        except ManifestError as error:
            raise _error(error.findings) from None
        text = compiled.to_json()
        asset = MANIFESTS.stage(
            fleet,
            compiled.digest,
            lambda target: _write(text, target),
            display_name=f"{fleet.node.path} manifest",
        )
        if endpoint._execution_role is not None:
            # Also without local adapters: the previous version of an adapter may have been one.
            endpoint._execution_role.read_archives(ADAPTER_ARCHIVES, asset)
        if endpoint.container is not None and any(
            isinstance(adapter.artifact, S3Artifact | BucketArtifact) for adapter in compiled.adapters
        ):
            endpoint.container.warn_of_unchecked_archives(endpoint)
        return BoundManifest(
            properties={
                "Manifest": {
                    "Bucket": asset.bucket_name,
                    "Key": asset.object_key,
                    "Digest": compiled.digest,
                },
                "Buckets": bucket_names,
                "Archives": archives,
            },
            component_names={
                one.name: one.component or adapter_component(prefix, one.name) for one in compiled.adapters
            },
            buckets={
                name: known.get(name)
                for name in sorted({bucket for _, bucket, *_ in _stored(compiled, bucket_names)})
            },
            adapter_tags={adapter.name: adapter.tags for adapter in compiled.adapters},
            asset=asset,
        )


class _FileManifest(_DocumentManifest):
    def __init__(self, path: Path, buckets: Mapping[str, s3.IBucket]) -> None:
        self._path = path
        self._buckets = buckets

    def _read(self) -> tuple[Manifest, Mapping[str, s3.IBucket]]:
        try:
            text = self._path.read_bytes()
        except OSError as error:
            raise ValueError(
                f"'path' should be a readable manifest, got {str(self._path)!r}: {error.strerror}"
            ) from None
        return Manifest.parse(text, where=str(self._path), folder=self._path.parent), self._buckets


class _ListedManifest(_DocumentManifest):
    def __init__(self, adapters: Sequence[FleetAdapter], base_model: str | None) -> None:
        check_known("base_model", base_model)
        self._adapters = adapters
        self._base_model = base_model

    def _read(self) -> tuple[Manifest, Mapping[str, s3.IBucket]]:
        buckets: dict[str, s3.IBucket] = {}
        entries = [manifest_adapter(each, number, buckets) for number, each in enumerate(self._adapters, 1)]
        if tokens := list(filter(None, map(unresolved, entries))):
            raise ManifestError(tokens)
        return Manifest.of(entries, base_model=self._base_model, where="adapters"), buckets


class _StoredManifest(AdapterManifest):
    def __init__(
        self,
        bucket: s3.IBucket,
        key: str,
        buckets: Mapping[str, s3.IBucket],
        *,
        enable_events: bool,
        reread_every: Duration,
    ) -> None:
        check_minutes("reread_every", reread_every)
        # In a policy, `*` and `?` would match other keys too, and `$` may begin a variable.
        plain = TOKEN in key or not any(wild in key for wild in ("*", "?", "${"))
        if not key or key.startswith("/") or key.endswith("/") or not plain:
            raise ValueError(
                "'key' should be that of one object, without '/' at its beginning or its end and without '*',"
                f" '?' and '${{', got {key!r}"
            )
        self._object = ManifestObject(
            bucket=bucket, key=key, enable_events=enable_events, reread_every=reread_every
        )
        self._buckets = buckets

    def _bind(
        self,
        _fleet: Construct,
        endpoint: IBaseComponent,
        _prefix: str,
        _evaluation: EvaluationBar | None,
        _releases: bool,
        /,
    ) -> BoundManifest:
        if endpoint.artifact_sources is not None and not endpoint.artifact_sources:
            raise ValueError(
                f"'{endpoint.node.path}' should have 'artifact_sources' for the adapters of a manifest in S3,"
                " got none: no role could read them"
            )
        if endpoint.container is not None:
            endpoint.container.warn_of_unchecked_archives(endpoint)
        bucket_names = {alias: bucket.bucket_name for alias, bucket in self._buckets.items()}
        return BoundManifest(
            properties={
                "ManifestObject": {"Bucket": self._object.bucket.bucket_name, "Key": self._object.key},
                "Buckets": bucket_names,
                "Archives": {},
            },
            component_names=None,
            buckets={bucket.bucket_name: bucket for bucket in (self._object.bucket, *self._buckets.values())},
            object=self._object,
        )


def _local_artifacts(manifest: Manifest) -> list[DeclaredArtifact]:
    """Return the directories and archives of this machine. Raises ValueError for too many."""
    local = [
        DeclaredArtifact(
            adapter=adapter.name,
            path=adapter.artifact.path.resolve(),
            where=adapter.where,
            digest=adapter.digest,
        )
        for adapter in manifest.adapters
        if isinstance(adapter.artifact, LocalArtifact)
    ]
    count = len({artifact.path for artifact in local})
    if count > MOST_LOCAL_ARTIFACTS:
        raise ValueError(
            f"a fleet should have at most {MOST_LOCAL_ARTIFACTS} different adapters on this machine, got"
            f" {count}: publish them to S3 with 'adapters publish', and name them as it prints"
        )
    return local


def _check_local(local: Sequence[DeclaredArtifact], endpoint: IBaseComponent) -> CheckedArtifacts:
    return check_local_artifacts(
        local,
        lora=endpoint.lora,
        base=endpoint._base_model_facts,
        version=None if endpoint.container is None else endpoint.container.version,
    )


def _stage_archives(
    fleet: Construct, local: Sequence[DeclaredArtifact], identities: Mapping[str, str]
) -> dict[str, str]:
    """Pack what is not packed yet, and return S3 URIs by identity."""
    # The first adapter of each identity names the asset.
    by_identity = {identities[artifact.adapter]: artifact for artifact in reversed(local)}
    return {
        identity: ADAPTER_ARCHIVES.stage(
            fleet,
            identity,
            lambda target, path=artifact.path, identity=identity: _pack(path, identity, target),  # type: ignore[misc]
            display_name=f"{fleet.node.path} {artifact.adapter} adapter",
        ).s3_object_url
        for identity, artifact in sorted(by_identity.items())
    }


def _misplaced(
    manifest: Manifest, endpoint: IBaseComponent, bucket_names: Mapping[str, str]
) -> list[Finding]:
    """Find the adapters in S3 that the endpoint's role may not read."""
    sources = endpoint.artifact_sources
    if sources is None:
        return []
    return [
        Finding.error(
            "artifact-source",
            adapter.where,
            f"adapter {adapter.name!r}: its archive should be under one of the endpoint's"
            f" 'artifact_sources' ({described(sources)}), got {address!r}",
        )
        for adapter, bucket, key, address in _stored(manifest, bucket_names)
        if not may_hold(sources, bucket, key)
    ]


def _stored(
    manifest: Manifest, bucket_names: Mapping[str, str]
) -> Iterator[tuple[ManifestAdapter, str, str, str]]:
    """Yield each adapter in S3 with its bucket, its key and its address in the manifest.

    Unknown aliases are left out.
    """
    for adapter in manifest.adapters:
        match adapter.artifact:
            case S3Artifact(uri=uri):
                yield adapter, *bucket_and_key(uri), uri
            case BucketArtifact(bucket=alias, key=key) if alias in bucket_names:
                yield adapter, bucket_names[alias], key, f"{alias}:{key}"


def _error(findings: Sequence[Finding]) -> ValueError:
    lines = "".join(f"\n  - {with_remedy(finding)}" for finding in findings[:_MOST_SHOWN])
    more = len(findings) - _MOST_SHOWN
    rest = f"\n  and {more} more" if more > 0 else ""
    return ValueError(f"the manifest cannot be deployed:{lines}{rest}")


def _pack(path: Path, checked: str, target: Path) -> None:
    if path.is_dir():
        pack_checked(path, checked, target)
        return
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as folder:
        copy = Path(folder) / target.name
        shutil.copyfile(path, copy)
        if identity_of(copy) != checked:
            raise ValueError(f"'{path}' should stay as it is during synth, got another one")
        copy.replace(target)


def _write(text: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text)


@dataclass(frozen=True, kw_only=True)
class ManifestObject:
    """A manifest in S3, which changes without a deployment.

    reread_every:
        How often to look for a version whose event was lost.
    """

    bucket: s3.IBucket
    key: str
    enable_events: bool
    reread_every: Duration


@dataclass(frozen=True, kw_only=True)
class BoundManifest:
    """A manifest that is checked and staged.

    properties:
        The custom resource's `Manifest` or `ManifestObject`, `Buckets` and `Archives`.
    component_names:
        By adapter. None if synth does not know them.
    buckets:
        The buckets that hold adapters, by name, as far as they are known. None for one that only an address
        in the manifest names.
    adapter_tags:
        The tags of each adapter, in addition to those of the fleet, as far as they are known.
    object:
        For a manifest in S3: where it is.
    asset:
        For a manifest that is an asset: where it was staged.
    """

    properties: Mapping[str, Any]
    component_names: Mapping[str, str] | None
    buckets: Mapping[str, s3.IBucket | None]
    adapter_tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    object: ManifestObject | None = None
    asset: FileAssetLocation | None = None
