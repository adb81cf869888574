"""A manifest as the fleet's resources need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aws_cdk import Duration, FileAssetLocation
from aws_cdk import aws_s3 as s3

from multi_adapter_inference.template.asset_folder import AssetFolder

MANIFESTS = AssetFolder(name="adapter-manifests", suffix=".json")


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
