"""What adapters a fleet has, as an app gives it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aws_cdk import Annotations, Duration, FileAssetLocation
from aws_cdk import aws_s3 as s3
from constructs import Construct

from adapter_fleet.artifacts.check import check_archive, check_directory
from adapter_fleet.artifacts.packing import identity, identity_of_archive
from adapter_fleet.common.findings import Finding, Severity
from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.common.validators import TOKEN, check_known, check_whole_number, holds_token
from adapter_fleet.manifest.desired import SmokeRequest
from adapter_fleet.manifest.entry import problems_of_smoke, prompt_request
from adapter_fleet.manifest.manifest import (
    BucketArtifact,
    LocalArtifact,
    Manifest,
    ManifestAdapter,
    ManifestError,
    S3Artifact,
)
from multi_adapter_inference._internal.asset_folder import AssetFolder
from multi_adapter_inference._internal.arguments import checked
from multi_adapter_inference.artifact import (
    ADAPTER_ARCHIVES,
    AdapterArtifact,
    ArtifactSources,
    pack_checked,
)
from multi_adapter_inference._internal.durations import check_minutes

if TYPE_CHECKING:
    from multi_adapter_inference.endpoint import MultiAdapterEndpointBase

MANIFESTS = AssetFolder(name="adapter-manifests", suffix=".json")

MOST_LOCAL_ARTIFACTS = 50
"""Each is checked, hashed and packed at every synth, and its address is a property of the custom resource."""

_REREAD_EVERY = Duration.minutes(15)

_PLACEHOLDER_PREFIX = "p"
"""Stands for a prefix that is known at deployment only, so that all else of a name is checked."""


@checked
@dataclass(frozen=True, kw_only=True)
class SmokeTest:
    """A request that an adapter has to answer before it is believed to be in service.

    It reaches one copy of the base model, whichever SageMaker picks.

    prompt, max_tokens:
        What to ask, at temperature 0, and the length of the answer, 16 tokens if nothing is said.
    body:
        The whole JSON body of the request, for containers that take another one.
    expect:
        A regular expression to be found in the answer; without it any 2XX answer will do.
    """

    prompt: str | None = None
    max_tokens: int | None = None
    body: Mapping[str, Any] | None = None
    expect: str | None = None

    def __post_init__(self) -> None:
        if (self.prompt is None) == (self.body is None):
            given = "none" if self.prompt is None else "both"
            raise ValueError(f"one of 'prompt' and 'body' should be given, got {given}")
        if self.max_tokens is not None:
            check_whole_number("max_tokens", self.max_tokens, at_least=1)
            if self.prompt is None:
                raise ValueError(f"'max_tokens' should be given with 'prompt' only, got {self.max_tokens}")
        problems = [f"'{setting}' {problem}" for setting, problem in problems_of_smoke(self.request())]
        if problems:
            raise ValueError("; ".join(problems))
        for setting in ("prompt", "body", "expect"):
            # It becomes a part of a JSON text, in which a quote that the deployment brings would end it.
            check_known(setting, getattr(self, setting))

    @property
    def document(self) -> dict[str, Any]:
        """It, as a manifest has it."""
        asked: dict[str, Any] = {"prompt": self.prompt} if self.body is None else {"body": dict(self.body)}
        if self.max_tokens is not None:
            asked["max_tokens"] = self.max_tokens
        return asked if self.expect is None else {**asked, "expect": self.expect}

    def request(self) -> SmokeRequest:
        """Return it, as the Lambda functions send it."""
        if self.body is not None:
            return SmokeRequest(body=dict(self.body), expect=self.expect)
        assert self.prompt is not None  # one of the two is given
        return prompt_request(self.prompt, max_tokens=self.max_tokens, expect=self.expect)


@checked
@dataclass(frozen=True, kw_only=True)
class FleetAdapter:
    """One adapter of a fleet, for `AdapterManifest.from_adapters`.

    name:
        Its name, unique in the fleet; its component's is `<prefix>-<name>`.
    artifact:
        A directory of this machine, or an archive in S3.
    digest:
        The identity that `adapters publish` told, as 64 hexadecimal digits, perhaps after `sha256:`. Needed
        for archives in S3 whose key does not hold it.
    rank:
        Its rank, so that one above the endpoint's limit is an error at synth also for an archive in S3.
    tags:
        Tags of its component, beside those of the fleet.
    smoke:
        Its own smoke test, in the place of the fleet's; False for none.
    component_name:
        The whole name of a component that was there before the fleet.
    """

    name: str
    artifact: AdapterArtifact
    digest: str | None = None
    rank: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    smoke: SmokeTest | Literal[False] | None = None
    component_name: str | None = None


@checked
@dataclass(frozen=True, kw_only=True)
class AdapterDefaults:
    """What adapters of `AdapterManifest.from_adapters` have that say nothing else.

    rank, tags, smoke:
        As of a `FleetAdapter`. Tags are joined, and the adapter's own win.
    """

    rank: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    smoke: SmokeTest | Literal[False] | None = None


@dataclass(frozen=True, kw_only=True)
class BoundManifest:
    """A manifest as the custom resource and the roles take it.

    properties:
        The custom resource's `Manifest` or `ManifestObject`, `Buckets` and `Archives`.
    component_names:
        By adapter; None where they are not known at synth.
    object:
        The manifest's bucket and key, where it lives in S3.
    asset:
        Where it was staged, where it is an asset.
    bucket_names:
        Of the buckets that hold adapters, as far as is known.
    adapter_tags:
        The tags of each adapter, beside those of the fleet, as far as is known.
    """

    properties: Mapping[str, Any]
    component_names: Mapping[str, str] | None
    bucket_names: Sequence[str]
    adapter_tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    object: ManifestObject | None = None
    asset: FileAssetLocation | None = None


@dataclass(frozen=True, kw_only=True)
class ManifestObject:
    """A manifest in S3, which changes without a deployment."""

    bucket: s3.IBucket
    key: str
    enable_events: bool
    reread_every: Duration | None = None
    """How often to look for a version whose event was lost; None where no fleet of this app watches it."""


@checked
class AdapterManifest(ABC):
    """The adapters of a fleet. Made by one of the `from_*` or by `of_directory`."""

    @staticmethod
    def from_file(path: str | Path, *, buckets: Mapping[str, s3.IBucket] | None = None) -> AdapterManifest:
        """Use a YAML or JSON document on this machine.

        `buckets` are those that it refers to by alias (`artifact: {bucket: <alias>, key: …}`), such as
        buckets of the same app, whose names are known at deployment only. Paths are relative to the file.
        """
        return _FileManifest(Path(path), buckets or {})

    @staticmethod
    def from_adapters(
        adapters: Sequence[FleetAdapter],
        *,
        base_model: str | None = None,
        defaults: AdapterDefaults | None = None,
    ) -> AdapterManifest:
        """Use adapters listed in code. `base_model`, if given, has to be the endpoint's."""
        return _ListedManifest(tuple(adapters), base_model, defaults or AdapterDefaults())

    @staticmethod
    def of_directory(path: str | Path, *, base_model: str | None = None) -> AdapterManifest:
        """Use every directory in a directory, each an adapter of that name.

        Those whose names begin with `.` or `__`, as `.git` and `__pycache__`, are none. `base_model`, if
        given, has to be the endpoint's.
        """
        return _DirectoryManifest(Path(path), base_model)

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

        The stack owns the key and not what is there. `enable_events` makes the bucket send its events to
        EventBridge; False for one that does so already and is not of this app. An event can be lost: with
        each drift check, each order of the `adapters` command and every `reread_every`, the fleet compares
        the object's version with the last one that it took. That is one HeadObject.
        """
        return _StoredManifest(
            bucket, key, buckets or {}, enable_events=enable_events, reread_every=reread_every
        )

    @abstractmethod
    def bind(self, fleet: Construct, endpoint: MultiAdapterEndpointBase, prefix: str, /) -> BoundManifest:
        """Check it and stage it. Raises ValueError with everything that is wrong."""


class _DocumentManifest(AdapterManifest):
    """A manifest that is known at synth."""

    @abstractmethod
    def _read(self) -> tuple[Manifest, Mapping[str, s3.IBucket]]:
        """Return the manifest, with the buckets by alias."""

    def bind(self, fleet: Construct, endpoint: MultiAdapterEndpointBase, prefix: str) -> BoundManifest:
        try:
            manifest, buckets = self._read()
        except ManifestError as error:
            raise _error(error.findings) from None
        bucket_names = {alias: bucket.bucket_name for alias, bucket in buckets.items()}
        shown_prefix = _PLACEHOLDER_PREFIX if TOKEN in prefix else prefix
        findings = [
            *manifest.findings(
                prefix=shown_prefix,
                max_lora_rank=None if endpoint.lora is None else endpoint.lora.max_lora_rank,
                base_model=None if endpoint.base_model_facts is None else endpoint.base_model_facts.name,
            ),
            *_misplaced(manifest, endpoint, bucket_names),
        ]
        local = _LocalArtifacts(manifest, endpoint)
        for finding in local.findings:
            if finding.severity is Severity.WARNING:
                Annotations.of(fleet).add_warning_v2(f"multi-adapter-inference:{finding.rule}", str(finding))
        findings += local.findings
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        if errors:
            raise _error(errors)
        compiled = local.compiled
        archives = local.stage(fleet)
        try:
            compiled.check_size()
            desired = compiled.resolve(prefix=shown_prefix, buckets=bucket_names, archives=archives)
        except ManifestError as error:
            raise _error(error.findings) from None

        pinned = {adapter.name for adapter in compiled.adapters if adapter.component is not None}
        text = compiled.to_json()
        asset = MANIFESTS.stage(
            fleet,
            compiled.digest,
            lambda target: _write(text, target),
            display_name=f"{fleet.node.path} manifest",
        )
        if endpoint.execution_role is not None:
            # Whether or not it has local adapters now: the last version of an adapter may have been one.
            endpoint.execution_role.read_archives(ADAPTER_ARCHIVES, asset)
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
                adapter.name: adapter.component
                if shown_prefix == prefix or adapter.name in pinned
                else f"{prefix}{adapter.component.removeprefix(shown_prefix)}"
                for adapter in desired.adapters
            },
            bucket_names=sorted({_bucket_of(adapter, bucket_names) for adapter in compiled.adapters} - {""}),
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
    def __init__(
        self, adapters: Sequence[FleetAdapter], base_model: str | None, defaults: AdapterDefaults
    ) -> None:
        check_known("base_model", base_model)
        self._adapters = adapters
        self._base_model = base_model
        self._defaults = _traits(defaults.rank, defaults.tags, defaults.smoke)

    def _read(self) -> tuple[Manifest, Mapping[str, s3.IBucket]]:
        buckets = _Aliases()
        documents = [_document(adapter, buckets) for adapter in self._adapters]
        findings = [
            Finding.error(
                "unresolved-token",
                f"adapters:{number}",
                f"adapter {self._adapters[number - 1].name!r}: all but a bucket's name should be known at"
                " synth, got a token",
            )
            for number, document in enumerate(documents, 1)
            # The CDK fills in what is in a template, and not what is in an asset.
            if holds_token(document)
        ]
        if holds_token(self._defaults):
            message = "defaults: they should be known at synth, got a token"
            findings.append(Finding.error("unresolved-token", "adapters", message))
        if findings:
            raise ManifestError(findings)
        text = _text([json.dumps(document) for document in documents], self._base_model, self._defaults)
        return Manifest.parse(text, where="adapters", folder=Path.cwd()), buckets.buckets


class _DirectoryManifest(_DocumentManifest):
    def __init__(self, path: Path, base_model: str | None) -> None:
        check_known("base_model", base_model)
        self._path = path
        self._base_model = base_model

    def _read(self) -> tuple[Manifest, Mapping[str, s3.IBucket]]:
        if not self._path.is_dir():
            raise ValueError(f"'path' should be a directory of adapters, got {str(self._path)!r}")
        names = sorted(
            entry.name
            for entry in os.scandir(self._path)
            if entry.is_dir() and not entry.name.startswith((".", "__"))
        )
        if not names:
            raise ValueError(
                f"'path' should be a directory with a directory for each adapter, got {str(self._path)!r}"
                " with none in it"
            )
        lines = [json.dumps({"name": name, "artifact": f"./{name}"}) for name in names]
        text = _text(lines, self._base_model, {})
        return Manifest.parse(text, where=str(self._path), folder=self._path), {}


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
        # In a policy, `*` and `?` would stand for other keys as well, and `$` may begin a variable.
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

    def bind(self, _fleet: Construct, endpoint: MultiAdapterEndpointBase, _prefix: str) -> BoundManifest:
        if endpoint.artifact_sources is not None and not endpoint.artifact_sources:
            raise ValueError(
                f"'{endpoint.node.path}' should have 'artifact_sources', under which those of a manifest in"
                " S3 have to be, got none: no role could read any of them"
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
            bucket_names=sorted({self._object.bucket.bucket_name, *bucket_names.values()}),
            object=self._object,
        )


class _LocalArtifacts:
    """The directories and archives of a manifest. Each is checked, hashed and packed once."""

    def __init__(self, manifest: Manifest, endpoint: MultiAdapterEndpointBase) -> None:
        self._manifest = manifest
        self._used_by: defaultdict[Path, list[ManifestAdapter]] = defaultdict(list)
        for adapter in manifest.adapters:
            if isinstance(adapter.artifact, LocalArtifact):
                self._used_by[adapter.artifact.path.resolve()].append(adapter)
        if len(self._used_by) > MOST_LOCAL_ARTIFACTS:
            raise ValueError(
                f"a fleet should have at most {MOST_LOCAL_ARTIFACTS} different adapters on this machine, got"
                f" {len(self._used_by)}: put them into S3 with 'adapters publish', and name them by what it"
                " tells"
            )
        self._identities: dict[Path, str] = {}
        self.findings: list[Finding] = []
        for path, adapters in self._used_by.items():
            self.findings += self._check(path, adapters, endpoint)

    def _check(
        self, path: Path, adapters: Sequence[ManifestAdapter], endpoint: MultiAdapterEndpointBase
    ) -> list[Finding]:
        first, more = adapters[0], len(adapters) - 1
        whose = f"adapter {first.name!r}" + (f" and {more} more" if more else "")
        check = check_directory if path.is_dir() else check_archive
        found = [
            replace(finding, where=first.where, message=f"{whose}: {finding.where}: {finding.message}")
            for finding in check(
                path,
                lora=endpoint.lora,
                base=endpoint.base_model_facts,
                version=None if endpoint.container is None else endpoint.container.version,
            )
        ]
        if any(finding.severity is Severity.ERROR for finding in found):
            return found
        told = identity(path) if path.is_dir() else identity_of_archive(path)
        self._identities[path] = told
        found += [
            Finding.error(
                "digest-agrees",
                adapter.where,
                f"adapter {adapter.name!r}: {path}: its digest should be {adapter.digest}, got {told}",
            )
            for adapter in adapters
            if adapter.digest not in (None, told)
        ]
        return found

    @property
    def compiled(self) -> Manifest:
        """The manifest, with its local artifacts by their identities."""
        return self._manifest.with_assets(
            {
                adapter.name: self._identities[path]
                for path, adapters in self._used_by.items()
                for adapter in adapters
            }
        )

    def stage(self, fleet: Construct) -> dict[str, str]:
        """Pack what is not packed yet, and return S3 URIs by identity."""
        uris = {}
        for path, told in self._identities.items():
            if told not in uris:
                uris[told] = ADAPTER_ARCHIVES.stage(
                    fleet,
                    told,
                    lambda target, path=path, told=told: _pack(path, told, target),  # type: ignore[misc]
                    display_name=f"{fleet.node.path} {self._used_by[path][0].name} adapter",
                ).s3_object_url
        return dict(sorted(uris.items()))


class _Aliases:
    """Names for the buckets whose own names are known at deployment only."""

    def __init__(self) -> None:
        self.buckets: dict[str, s3.IBucket] = {}
        self._aliases: dict[str, str] = {}

    def of(self, bucket: s3.IBucket, name: str) -> str:
        alias = self._aliases.setdefault(name, f"bucket{len(self._aliases) + 1}")
        self.buckets[alias] = bucket
        return alias


def _document(adapter: FleetAdapter, aliases: _Aliases) -> dict[str, Any]:
    """Return one adapter as a manifest has it."""
    address = adapter.artifact.address
    if isinstance(address, Path):
        artifact: object = str(address.resolve())
    elif address.bucket is not None and TOKEN in address.bucket_name:
        artifact = {"bucket": aliases.of(address.bucket, address.bucket_name), "key": address.key}
    else:
        artifact = address.uri
    document: dict[str, Any] = {"name": adapter.name, "artifact": artifact}
    if adapter.digest is not None:
        document["digest"] = f"sha256:{adapter.digest.removeprefix('sha256:')}"
    document |= _traits(adapter.rank, adapter.tags, adapter.smoke)
    if adapter.component_name is not None:
        document["component"] = adapter.component_name
    return document


def _traits(
    rank: int | None, tags: Mapping[str, str], smoke: SmokeTest | Literal[False] | None
) -> dict[str, Any]:
    """Return what both an adapter and the defaults may have, as a manifest has it."""
    traits: dict[str, Any] = {}
    if rank is not None:
        traits["rank"] = rank
    if tags:
        traits["tags"] = dict(tags)
    if smoke is not None:
        traits["smoke"] = smoke and smoke.document
    return traits


def _text(adapters: Sequence[str], base_model: str | None, defaults: Mapping[str, Any]) -> bytes:
    """Return a manifest with one adapter a line, so that the number of a line is that of the adapter."""
    head = "".join(
        f"{json.dumps(key)}: {json.dumps(value)}, "
        for key, value in (("base_model", base_model), ("defaults", defaults or None))
        if value is not None
    )
    return ("{" + head + '"adapters": [' + ",\n".join(adapters) + "]}").encode()


def _misplaced(
    manifest: Manifest, endpoint: MultiAdapterEndpointBase, bucket_names: Mapping[str, str]
) -> list[Finding]:
    """Find the adapters in S3 that the endpoint's role may not read, and unknown aliases."""
    sources = None if endpoint.artifact_sources is None else ArtifactSources(endpoint.artifact_sources)
    findings = []
    for adapter in manifest.adapters:
        match adapter.artifact:
            case S3Artifact(uri=uri):
                bucket_name, key = bucket_and_key(uri)
            case BucketArtifact(alias=alias, key=key):
                if alias not in bucket_names:
                    findings.append(
                        Finding.error(
                            "bucket-known",
                            adapter.where,
                            f"adapter {adapter.name!r}: its bucket should be one of 'buckets'"
                            f" ({', '.join(sorted(bucket_names)) or 'none given'}), got {alias!r}",
                        )
                    )
                    continue
                bucket_name, uri = bucket_names[alias], f"{alias}:{key}"
            case _:
                continue
        if sources is not None and not sources.may_hold(bucket_name, key):
            findings.append(
                Finding.error(
                    "artifact-source",
                    adapter.where,
                    f"adapter {adapter.name!r}: its archive should be under one of the endpoint's"
                    f" 'artifact_sources' ({sources}), got {uri!r}",
                )
            )
    return findings


def _bucket_of(adapter: ManifestAdapter, bucket_names: Mapping[str, str]) -> str:
    match adapter.artifact:
        case S3Artifact(uri=uri):
            return bucket_and_key(uri)[0]
        case BucketArtifact(alias=alias):
            return bucket_names[alias]
        case _:
            return ""


def _error(findings: Sequence[Finding]) -> ValueError:
    lines = "".join(f"\n  - {finding}" for finding in findings)
    return ValueError(f"the manifest cannot be deployed:{lines}")


def _pack(path: Path, checked: str, target: Path) -> None:
    if path.is_dir():
        pack_checked(path, checked, target)
        return
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as folder:
        copy = Path(folder) / target.name
        shutil.copyfile(path, copy)
        if identity_of_archive(copy) != checked:
            raise ValueError(f"'{path}' should stay as it is during synth, got another one")
        copy.replace(target)


def _write(text: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text)
