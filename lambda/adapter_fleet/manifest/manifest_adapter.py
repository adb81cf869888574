"""One adapter of a manifest, and the reference to its archive."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from adapter_fleet.common.findings import Finding
from adapter_fleet.common.naming import component_name, digest_in_key
from adapter_fleet.evaluation import EvaluationRecord
from adapter_fleet.manifest.desired import Probe, SmokeRequest


class ManifestError(ValueError):
    """Every error in a manifest, in `findings`."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(map(str, self.findings)))


@dataclass(frozen=True, kw_only=True)
class S3Artifact:
    """An archive in S3 by its URI."""

    uri: str


@dataclass(frozen=True, kw_only=True)
class BucketArtifact:
    """An archive in a bucket that the fleet knows by an alias, so that one manifest fits several accounts.

    bucket:
        The alias.
    """

    bucket: str
    key: str


@dataclass(frozen=True, kw_only=True)
class LocalArtifact:
    """A directory or an archive on this machine. Uploading it makes it an asset."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class AssetArtifact:
    """An archive that was uploaded with the fleet, by the SHA-256 of its canonical tar."""

    identity: str


ArtifactReference = S3Artifact | BucketArtifact | LocalArtifact | AssetArtifact


@dataclass(frozen=True, kw_only=True)
class AdapterSettings:
    """What both an adapter and the defaults of a manifest may set.

    smoke:
        False for no smoke request (`smoke: false`), even if the fleet has a default one.
    """

    rank: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    smoke: SmokeRequest | Literal[False] | None = None


@dataclass(frozen=True, kw_only=True)
class ManifestAdapter(AdapterSettings):
    """One adapter of a manifest, with the manifest's defaults. Its fields are the keys of the document.

    digest:
        SHA-256 of the canonical tar in hexadecimal; None if the manifest does not give it.
    checksum:
        S3's SHA-256 of the archive, as `adapters publish` writes it. An archive without one is read.
    probe:
        What this version of the adapter answers, and the base model does not.
    evaluation:
        How this version did beside the base model, as `adapters publish --evaluation` writes it.
    percent:
        The share of the callers whom this version answers when it is new; None for what the fleet says.
    component:
        The component's name if it is not `<prefix>-<name>`, such as that of a component made by hand.
    where:
        File and line, for messages. Adapters that differ in nothing else are equal.
    """

    name: str
    artifact: ArtifactReference
    digest: str | None = None
    checksum: str | None = None
    probe: Probe | None = None
    evaluation: EvaluationRecord | None = None
    percent: int | None = None
    component: str | None = None
    where: str = field(default="", compare=False)

    @property
    def known_digest(self) -> str | None:
        """The digest that the manifest gives, or else the one in the name of the key or the asset."""
        return self.digest or named_digest(self.artifact)

    def component_name(self, prefix: str) -> str:
        """Return the component's name in a fleet; ValueError if it is too long."""
        return self.component or component_name(prefix, self.name)


def named_digest(artifact: ArtifactReference) -> str | None:
    """Return the digest in the name of a content-addressed key or asset; None for any other name."""
    match artifact:
        case AssetArtifact(identity=identity):
            return identity
        case S3Artifact(uri=key) | BucketArtifact(key=key):
            return digest_in_key(key)
    return None
