"""The manifest of a fleet: the adapters that it should have, in YAML or JSON that people write.

Every rule has an id, which the findings carry. Every finding is an error, but for `probe-shared`:

====================  ==================================================================================
rule                  requirement
====================  ==================================================================================
manifest-readable     a document of plain data with one meaning (`adapter_fleet.documents.reader`)
manifest-size         at most 500,000 keys and values, 1,000 keys a mapping, 10,000 items a list; at most
                      3,000,000 bytes compressed, with the defaults in each adapter
manifest-findings     at most 1,000 findings; the others are counted
manifest-keys         no unknown key, and all required ones
manifest-types        values of the right types
manifest-base-model   the base model that the endpoint runs
adapter-count         at most 10,000 adapters
adapter-size          at most 32,000 bytes as JSON
adapter-name          letters, digits and hyphens, as the component's name ends with it
adapter-unique        no name twice, ignoring case
artifact-form         `s3://<bucket>/<key>.tar.gz`, a bucket's alias and a key, `asset:<identity>` or a path
artifact-place        no local path in a manifest that is not read from a file
digest-form           `sha256:` and 64 hexadecimal digits
digest-required       a digest, unless the key has it or the files are on this machine
digest-agrees         the same digest as in the name of the key or the asset
checksum-form         `sha256:` and 64 hexadecimal digits, perhaps `-<parts>`, of an archive in S3
rank-positive         a rank above 0
lora-rank             a rank within the endpoint's limit
tag-form              a valid tag of AWS, other than the one that marks the fleet's components
tag-count             at most 50 tags with those of the fleet
smoke-request         a prompt or a body of at most 8,000 bytes as JSON, and a regular expression
probe-form            a prompt of at most 2,000 characters and an answer of at most 200
probe-shared          a probe that no other version in the manifest may answer (a warning)
evaluation-form       a result in S3, a dataset's digest, a time, and 1 to 20 metrics with finite figures
evaluation-agrees     the evaluation of this version, by the identity in the result's key
evaluation-required   an evaluation that reaches the fleet's bar, for each version that is new to the fleet
percent-share         a share from 1 to 100, and only in a fleet with releases
component-name        a valid name for a component
component-unique      no component twice, ignoring case
component-version     no component that a version of another adapter may have, in a fleet with releases
bucket-known          the alias of a bucket of the fleet
asset-known           an asset that was uploaded with the fleet
====================  ==================================================================================

`manifest.schema.json` beside this module tells editors the rules that a JSON Schema can express.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.findings import Finding
from adapter_fleet.common.naming import ADAPTER_TAG, ARCHIVE_SUFFIX, known_or_meant
from adapter_fleet.documents.document import DocumentError, DocumentLimitError, file_and_line
from adapter_fleet.documents.reader import read
from adapter_fleet.documents.schema import dotted
from adapter_fleet.evaluation import EvaluationBar
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, DesiredFleet, SmokeRequest
from adapter_fleet.manifest.manifest_adapter import (
    ArtifactReference,
    AssetArtifact,
    BucketArtifact,
    LocalArtifact,
    ManifestAdapter,
    ManifestError,
    S3Artifact,
    common_values,
)
from adapter_fleet.manifest.parser import MAX_ADAPTERS, ManifestParser
from adapter_fleet.manifest.value_rules import (
    MAX_ADAPTER_BYTES,
    Violation,
    shared_probes,
    unevaluated,
    violation_of_unique_name,
    violations,
    violations_in_fleet,
    violations_of_versions,
)
from adapter_fleet.manifest.writer import plain_adapter, plain_document
from adapter_fleet.serving.base_model import BaseModelFacts

MAX_COMPRESSED_BYTES = 3_000_000
"""A transaction of the registry has the whole desired state, and 4 MB at most (DynamoDB's quotas)."""


def nothing_known(_adapter: str, _digest: str) -> bool:
    """Return False: each version needs its evaluation, as for a fleet that is new."""
    return False


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The adapters that a fleet should have. `parse` and `of` make it and apply the rules.

    where:
        File and line of `base_model`, for messages. JSON has no lines.
    """

    base_model: str | None = None
    adapters: tuple[ManifestAdapter, ...] = ()
    where: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: bytes, *, where: str, folder: Path | None) -> "Manifest":
        """Read a manifest in YAML or JSON.

        `where` names it in messages. A manifest in `….json` gets the errors of JSON. Paths are relative to
        `folder`; without a folder, paths are errors. Raises ManifestError with every finding, and no other
        error for any bytes.
        """
        try:
            document = read(text, called_json=where.endswith(".json"))
        except DocumentError as error:
            raise ManifestError([_document_finding(error, where)]) from None
        base_model, place, adapters = ManifestParser(document, where, folder).parse()
        _check_stored_size(adapters, where)
        return cls(base_model=base_model, adapters=adapters, where=place)

    @classmethod
    def of(
        cls, adapters: Iterable[ManifestAdapter], *, base_model: str | None = None, where: str = ""
    ) -> "Manifest":
        """Make a manifest of adapters that a program declares; ManifestError if they break a rule."""
        manifest = cls(base_model=base_model, adapters=tuple(adapters), where=where)
        count = len(manifest.adapters)
        if count > MAX_ADAPTERS:
            message = f"there should be at most {MAX_ADAPTERS} adapters, got {count}"
            raise ManifestError([Finding.error("adapter-count", where, message)])
        earlier: dict[str, ManifestAdapter] = {}
        findings = [
            violation.finding(adapter)
            for adapter in manifest.adapters
            for violation in (*violations(adapter), *violation_of_unique_name(adapter, earlier))
        ]
        if findings:
            raise ManifestError(findings)
        _check_stored_size(manifest.adapters, where)
        return manifest

    def with_assets(self, identities: Mapping[str, str]) -> "Manifest":
        """Return the manifest with assets in place of paths; `identities` has an asset for each such adapter.

        Raises ManifestError if the manifest gives another digest.
        """
        adapters = tuple(
            replace(adapter, artifact=AssetArtifact(identity=identities[adapter.name]))
            if isinstance(adapter.artifact, LocalArtifact)
            else adapter
            for adapter in self.adapters
        )
        findings = [
            violation.finding(adapter)
            for adapter, before in zip(adapters, self.adapters, strict=True)
            if adapter is not before
            for violation in violations(adapter)
        ]
        if findings:
            raise ManifestError(findings)
        return replace(self, adapters=adapters)

    def findings(
        self,
        *,
        prefix: str,
        max_lora_rank: int | None = None,
        base_model: str | None = None,
        fleet_tags: Mapping[str, str] | None = None,
        evaluation: EvaluationBar | None = None,
        is_known: Callable[[str, str], bool] = nothing_known,
        buckets: Mapping[str, str] | None = None,
        archives: Mapping[str, str] | None = None,
        releases: bool = False,
    ) -> list[Finding]:
        """Apply the rules that need the fleet and its endpoint. An argument of None skips its rules.

        Base models are the same if the last parts of their names are. `is_known` is called with an adapter's
        name and the digest of a version whose evaluation would be refused, and accepts it. `buckets` and
        `archives` have the bucket of each alias and the URI of each asset. `releases` is True if each version
        is a component of its own, whose name is longer.
        """
        found = []
        if self.base_model and base_model and not BaseModelFacts(name=base_model).is_named(self.base_model):
            message = f"base_model: should be {short_repr(base_model)}, as the endpoint runs it"
            found.append(
                Finding.error(
                    "manifest-base-model", self.where, f"{message}, got {short_repr(self.base_model)}"
                )
            )
        components: dict[str, ManifestAdapter] = {}
        tags = {**(fleet_tags or {}), **({ADAPTER_TAG: ""} if releases else {})}
        for adapter in self.adapters:
            found += [
                violation.finding(adapter)
                for violation in violations_in_fleet(
                    adapter, prefix, max_lora_rank, components, tags, releases=releases
                )
            ]
        if releases:
            found += [violation.finding(adapter) for adapter, violation in violations_of_versions(components)]
        if evaluation is not None:
            found += [
                violation.finding(adapter)
                for adapter, violation in unevaluated(self.adapters, evaluation, is_known)
            ]
        if buckets is not None and archives is not None:
            uris = [(adapter, _uri(adapter.artifact, buckets, archives)) for adapter in self.adapters]
            found += [uri.finding(adapter) for adapter, uri in uris if isinstance(uri, Violation)]
        return found

    def warnings(self) -> list[Finding]:
        """Apply the rules that refuse no manifest."""
        return [
            Finding.warning(violation.rule, adapter.where, violation.text(adapter))
            for adapter, violation in shared_probes(self.adapters)
        ]

    def resolve(
        self,
        *,
        prefix: str,
        buckets: Mapping[str, str],
        archives: Mapping[str, str],
        kept_archives: str | None = None,
        smoke: SmokeRequest | None = None,
    ) -> DesiredFleet:
        """Look up the bucket of each alias and the URI of each asset, and name the components.

        `kept_archives` is the folder of the fleet's own copies of assets, which replace the assets. `smoke`
        is the default smoke request.

        No adapter may be a path any more, and `findings` has to have found nothing.
        """
        return DesiredFleet(
            adapters=tuple(
                DesiredAdapter(
                    **common_values(adapter, DesiredAdapter)
                    | {
                        "component": adapter.component_name(prefix),
                        "artifact": _located(adapter, uri, kept_archives),
                        "smoke": (smoke if adapter.smoke is None else adapter.smoke) or None,
                    }
                )
                for adapter in self.adapters
                for uri in [_uri(adapter.artifact, buckets, archives)]
            )
        )

    def to_json(self) -> bytes:
        """Return the manifest as JSON with the defaults filled in; equal manifests give equal bytes."""
        document = plain_document(self.adapters, self.base_model)
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    def check_size(self) -> None:
        """Raise ManifestError if `to_json` is larger than `parse` takes.

        `to_json` repeats the defaults in each adapter, so it may be larger than the parsed document.
        """
        try:
            read(self.to_json())
        except DocumentError as error:
            message = f"with the defaults in each adapter, {error}"
            raise ManifestError([Finding.error("manifest-size", self.where, message)]) from None

    @property
    def digest(self) -> str:
        """SHA-256 of the JSON, in hexadecimal."""
        return hashlib.sha256(self.to_json()).hexdigest()


def _check_stored_size(adapters: Iterable[ManifestAdapter], where: str) -> None:
    """Raise ManifestError if the registry could not store the adapters: one of them, or all together."""
    findings, compressor, compressed = [], zlib.compressobj(), 0
    for adapter in adapters:
        text = json.dumps(plain_adapter(adapter)).encode()
        if len(text) > MAX_ADAPTER_BYTES:
            message = (
                f"should have at most {MAX_ADAPTER_BYTES} bytes as JSON, with its defaults, got {len(text)}"
            )
            findings.append(Violation("adapter-size", (), message).finding(adapter))
        compressed += len(compressor.compress(text))
    compressed += len(compressor.flush())
    if compressed > MAX_COMPRESSED_BYTES:
        message = (
            f"it should have at most {MAX_COMPRESSED_BYTES} bytes when it is compressed, with the defaults in"
            f" each adapter, got {compressed}"
        )
        findings.append(Finding.error("manifest-size", where, message))
    if findings:
        raise ManifestError(findings)


def _document_finding(error: DocumentError, where: str) -> Finding:
    rule, message = "manifest-readable", ": ".join(filter(None, (dotted(error.keys), str(error))))
    if isinstance(error, DocumentLimitError):
        rule = "manifest-size"
        if error.keys == ("adapters",):
            rule, message = "adapter-count", f"adapters: should be at most {MAX_ADAPTERS}, got more"
    return Finding.error(rule, file_and_line(where, error.line), message)


def _uri(
    artifact: ArtifactReference, buckets: Mapping[str, str], archives: Mapping[str, str]
) -> str | Violation | None:
    """Return the URI of an archive, or why the fleet does not know it; None for a path."""
    match artifact:
        case S3Artifact(uri=uri):
            return uri
        case BucketArtifact(bucket=alias, key=key):
            if alias in buckets:
                return f"s3://{buckets[alias]}/{key}"
            hint = known_or_meant(alias, buckets)
            message = f"unknown alias of a bucket ({hint}), got {short_repr(alias)}"
            return Violation("bucket-known", ("artifact",), message)
        case AssetArtifact(identity=identity):
            if identity in archives:
                return archives[identity]
            message = f"no such asset was uploaded, got asset:{identity:.80}"
            return Violation("asset-known", ("artifact",), message)
    return None


def _located(adapter: ManifestAdapter, uri: str | Violation | None, kept_archives: str | None) -> Artifact:
    """Return an adapter's artifact. It is the fleet's own copy of an asset, if the fleet keeps copies."""
    assert isinstance(uri, str)  # `findings` has the others
    digest, source = adapter.known_digest, None
    if isinstance(adapter.artifact, AssetArtifact) and kept_archives is not None:
        uri, source = f"{kept_archives}{adapter.artifact.identity}{ARCHIVE_SUFFIX}", uri
    return Artifact(**common_values(adapter, Artifact) | {"uri": uri, "digest": digest, "source": source})
