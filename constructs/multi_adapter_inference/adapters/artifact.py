"""Where the weights of an adapter come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import Annotations
from aws_cdk import aws_s3 as s3
from constructs import Construct

from adapter_fleet.common.findings import Severity
from adapter_fleet.common.naming import ARCHIVE_SUFFIX
from adapter_fleet.common.s3_uri import SCHEME, bucket_and_key
from adapter_fleet.common.validators import holds_token
from adapter_rules.archives.packing import identity_of, pack
from adapter_rules.checks.adapter_check import examine
from adapter_rules.checks.requirements_and_remedies import with_remedy
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.components.base_component_interface import IBaseComponent
from multi_adapter_inference.models.artifact_source import described, may_hold
from multi_adapter_inference.template.asset_folder import AssetFolder

ADAPTER_ARCHIVES = AssetFolder(name="lora-adapters")


@dataclass(frozen=True, kw_only=True)
class ObjectAddress:
    """Where an archive in S3 is. Each part may be a token."""

    uri: str
    bucket_name: str
    key: str
    bucket: s3.IBucket | None = None


@checked
class AdapterArtifact(ABC):
    """The archive of an adapter. Made by one of the `from_*`.

    Example::

        artifact = AdapterArtifact.from_bucket(bucket, "adapters/ectsum-v1.tar.gz")
        endpoint.add_adapter("Ectsum", artifact=artifact)
    """

    _address: Path | ObjectAddress
    """Where the adapter is."""

    @staticmethod
    def from_directory(path: str | Path) -> AdapterArtifact:
        """Use what a training run wrote: `adapter_config.json` and `adapter_model.safetensors`.

        Synth checks the adapter, packs it and uploads it as an asset.
        """
        return _DirectoryArtifact(Path(path))

    @staticmethod
    def from_bucket(bucket: s3.IBucket, key: str) -> AdapterArtifact:
        """Use an archive (`.tar.gz`) in a bucket, under one of the endpoint's `artifact_sources`.

        A new version needs a new key: CloudFormation does not see that an object has changed.
        """
        return _StoredArtifact(bucket.s3_url_for_object(key), bucket.bucket_name, key, bucket)

    @staticmethod
    def from_uri(uri: str) -> AdapterArtifact:
        """Use an archive by its `s3://<bucket>/<key>.tar.gz`; see `from_bucket`."""
        bucket_name, key = bucket_and_key(uri)
        if uri.startswith(SCHEME) and bucket_name and key:
            return _StoredArtifact(uri, bucket_name, key)
        if holds_token(uri):
            return _StoredArtifact(uri, uri, uri)
        raise ValueError(f"'uri' should be 's3://<bucket>/<key>', got {uri!r}")

    @abstractmethod
    def bind(self, adapter: Construct, endpoint: IBaseComponent) -> str:
        """Check the archive, let the endpoint's role read it, and return its S3 URI."""

    @property
    @abstractmethod
    def version(self) -> str:
        """A text that changes with the adapter's files, or with the archive's address."""


class _DirectoryArtifact(AdapterArtifact):
    _address: Path

    def __init__(self, path: Path) -> None:
        self._address = path

    @property
    def version(self) -> str:
        return identity_of(self._address)

    def bind(self, adapter: Construct, endpoint: IBaseComponent) -> str:
        findings = examine(
            self._address,
            lora=endpoint.lora,
            base=endpoint._base_model_facts,
            version=None if endpoint.container is None else endpoint.container.version,
        ).findings
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        if errors:
            lines = "".join(f"\n  - {with_remedy(error)}" for error in errors)
            raise ValueError(f"adapter '{adapter.node.path}' cannot be served:{lines}")
        for finding in findings:
            if finding.severity is Severity.WARNING:
                Annotations.of(adapter).add_warning_v2(
                    f"multi-adapter-inference:{finding.rule}", str(finding)
                )
        checked = identity_of(self._address)
        location = ADAPTER_ARCHIVES.stage(
            adapter,
            checked,
            lambda target: pack_checked(self._address, checked, target),
            display_name=f"{adapter.node.path} adapter",
        )
        if endpoint._execution_role is not None:
            endpoint._execution_role.read_archives(ADAPTER_ARCHIVES, location)
        return location.s3_object_url


class _StoredArtifact(AdapterArtifact):
    _address: ObjectAddress

    def __init__(self, uri: str, bucket_name: str, key: str, bucket: s3.IBucket | None = None) -> None:
        if not uri.endswith(ARCHIVE_SUFFIX) and not holds_token(uri.rsplit("/", 1)[-1]):
            raise ValueError(f"an adapter's archive should be a '{ARCHIVE_SUFFIX}', got {uri!r}")
        self._address = ObjectAddress(uri=uri, bucket_name=bucket_name, key=key, bucket=bucket)

    @property
    def version(self) -> str:
        return self._address.uri

    def bind(self, adapter: Construct, endpoint: IBaseComponent) -> str:
        sources = endpoint.artifact_sources
        if sources is not None and not may_hold(sources, self._address.bucket_name, self._address.key):
            raise ValueError(
                f"the archive of adapter '{adapter.node.path}' should be under one of the endpoint's"
                f" 'artifact_sources' ({described(sources)}), got {self._address.uri!r}"
            )
        if endpoint.container is not None:
            endpoint.container.warn_of_unchecked_archives(endpoint)
        return self._address.uri


def pack_checked(directory: Path, checked: str, target: Path) -> None:
    """Pack the adapter in `directory`, which had the identity `checked` when it was checked.

    Raises ValueError, and leaves no archive, if its files have changed since.
    """
    if pack(directory, target).identity != checked:
        target.unlink()
        raise ValueError(f"the files of '{directory}' should stay as they are during synth, got other ones")
