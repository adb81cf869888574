"""Where the weights of an adapter come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aws_cdk import Annotations, Token
from aws_cdk import aws_s3 as s3
from constructs import Construct

from adapter_fleet.adapter import check_directory
from adapter_fleet.findings import Severity
from adapter_fleet.packing import identity, pack
from multi_adapter_inference.archive_asset import ArchiveFolder
from multi_adapter_inference.object_prefix import as_folder

if TYPE_CHECKING:
    from multi_adapter_inference.endpoint import MultiAdapterEndpointBase

_ADAPTERS = ArchiveFolder(name="lora-adapters")
_ARCHIVE_SUFFIX = ".tar.gz"


@dataclass(frozen=True, kw_only=True)
class ArtifactSource:
    """A prefix of a bucket from which the endpoint's role reads adapters.

    The prefix is a folder: `acme` is the same as `acme/`, and `acme-eu/` is not under it.
    """

    bucket: s3.IBucket
    prefix: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefix", as_folder(self.prefix))

    def may_hold(self, bucket_name: str, key: str) -> bool:
        """Tell whether the object may be in it; names known at deployment only may be any."""
        own_name = self.bucket.bucket_name
        if own_name != bucket_name:
            return Token.is_unresolved(own_name) or Token.is_unresolved(bucket_name)
        return key.startswith(self.prefix) or Token.is_unresolved(self.prefix) or Token.is_unresolved(key)


class AdapterArtifact(ABC):
    """The archive of an adapter. Made by one of the `from_*`."""

    @staticmethod
    def from_directory(path: str | Path) -> AdapterArtifact:
        """Use what a training run wrote: `adapter_config.json` and `adapter_model.safetensors`.

        It is checked, packed and uploaded as an asset when the app is synthesized.
        """
        return _DirectoryArtifact(Path(path))

    @staticmethod
    def from_bucket(bucket: s3.IBucket, key: str) -> AdapterArtifact:
        """Use an archive (`.tar.gz`) in a bucket, one of the endpoint's `artifact_sources`.

        A new version needs a new key: CloudFormation does not see that an object has changed.
        """
        return _StoredArtifact(bucket.s3_url_for_object(key), bucket.bucket_name, key)

    @staticmethod
    def from_uri(uri: str) -> AdapterArtifact:
        """Use an archive by its `s3://<bucket>/<key>.tar.gz`; see `from_bucket`."""
        scheme, _, rest = uri.partition("://")
        bucket_name, _, key = rest.partition("/")
        if scheme == "s3" and bucket_name and key:
            return _StoredArtifact(uri, bucket_name, key)
        if Token.is_unresolved(uri):
            return _StoredArtifact(uri, uri, uri)
        raise ValueError(f"'uri' should be 's3://<bucket>/<key>', got {uri!r}")

    @abstractmethod
    def bind(self, adapter: Construct, endpoint: MultiAdapterEndpointBase) -> str:
        """Return the archive's S3 URI, once it is checked and the endpoint's role may read it."""


class _DirectoryArtifact(AdapterArtifact):
    def __init__(self, path: Path) -> None:
        self._path = path

    def bind(self, adapter: Construct, endpoint: MultiAdapterEndpointBase) -> str:
        findings = check_directory(self._path, lora=endpoint.lora, base=endpoint.base_model_facts)
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        if errors:
            lines = "".join(f"\n  - {error}" for error in errors)
            raise ValueError(f"adapter '{adapter.node.path}' cannot be served:{lines}")
        for finding in findings:
            Annotations.of(adapter).add_warning_v2(f"multi-adapter-inference:{finding.rule}", str(finding))
        checked = identity(self._path)
        location = _ADAPTERS.stage(
            adapter,
            checked,
            lambda target: self._pack(checked, target),
            display_name=f"{adapter.node.path} adapter",
        )
        if endpoint.execution_role is not None:
            endpoint.execution_role.read_archives(_ADAPTERS, location)
        return location.s3_object_url

    def _pack(self, checked: str, target: Path) -> None:
        if pack(self._path, target).identity != checked:
            target.unlink()
            raise ValueError(
                f"the files of '{self._path}' should stay as they are during synth, got other ones"
            )


class _StoredArtifact(AdapterArtifact):
    def __init__(self, uri: str, bucket_name: str, key: str) -> None:
        if not uri.endswith(_ARCHIVE_SUFFIX) and not Token.is_unresolved(uri.rsplit("/", 1)[-1]):
            raise ValueError(f"an adapter's archive should be a '{_ARCHIVE_SUFFIX}', got {uri!r}")
        self._uri = uri
        self._bucket_name = bucket_name
        self._key = key

    def bind(self, adapter: Construct, endpoint: MultiAdapterEndpointBase) -> str:
        sources = endpoint.artifact_sources
        if sources is not None and not any(s.may_hold(self._bucket_name, self._key) for s in sources):
            raise ValueError(
                f"the archive of adapter '{adapter.node.path}' should be under one of the endpoint's"
                f" 'artifact_sources' ({_listed(sources)}), got {self._uri!r}"
            )
        if endpoint.container is not None:
            endpoint.container.warn_of_unchecked_archives(endpoint)
        return self._uri


def _listed(sources: Sequence[ArtifactSource]) -> str:
    return (
        ", ".join(f"s3://{source.bucket.bucket_name}/{source.prefix}" for source in sources) or "none given"
    )
