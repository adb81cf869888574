"""What the functions of a fleet may do with manifests and archives in S3."""

from __future__ import annotations

from aws_cdk import aws_s3 as s3
from constructs import Construct

from adapter_fleet.common.validators import holds_token
from multi_adapter_inference.adapters.artifact import ADAPTER_ARCHIVES
from multi_adapter_inference.components.base_component_interface import IBaseComponent
from multi_adapter_inference.manifests.bound_manifest import MANIFESTS, BoundManifest
from multi_adapter_inference.template.object_statements import reads_objects
from multi_adapter_inference.template.stack_location import partition_of
from multi_adapter_inference.template.statement import Statement, allow


def reads_manifest(scope: Construct, bound: BoundManifest) -> list[Statement]:
    """Return the statements for a function that reads the manifest."""
    if bound.object is not None:
        return reads_objects(scope, (bound.object.bucket, bound.object.key))
    assert bound.asset is not None  # one of the two
    # Every manifest in the folder: a rollback reads the previous one.
    statements = [allow(["s3:GetObject"], MANIFESTS.objects_arn(scope, bound.asset))]
    if bound.asset.kms_key_arn is not None:
        statements.append(allow(["kms:Decrypt"], bound.asset.kms_key_arn))
    return statements


def reads_artifacts(scope: Construct, bound: BoundManifest, endpoint: IBaseComponent) -> list[Statement]:
    """Return the statements for a function that looks for archives."""
    sources = endpoint.artifact_sources
    if sources is None:
        objects = [
            (bucket or s3.Bucket.from_bucket_name(scope, name, name), "*")
            for name, bucket in bound.buckets.items()
        ]
    else:
        objects = [(source.bucket, f"{source.prefix}*") for source in sources]
    assets = [] if bound.asset is None else [ADAPTER_ARCHIVES.objects_arn(scope, bound.asset)]
    return reads_objects(scope, *objects, assets=assets)


def prefix_of_copies(scope: Construct, bound: BoundManifest, uid: str) -> str | None:
    """Return the beginning of the fleet's own copies of its archives, `<bucket>/<key>`.

    None for a manifest in S3, whose archives are in the user's buckets.
    """
    if bound.asset is None:
        return None
    # The beginning of a minted identifier. A fleet that was moved gets the same one as `fleet_uid`.
    name = scope.node.addr[:8] if holds_token(uid) else uid[:8]
    return ADAPTER_ARCHIVES.kept(bound.asset, f"fleet-{name}")


def copies_archives(scope: Construct, bound: BoundManifest, kept: str | None) -> list[Statement]:
    """Return the statements for a function that copies archives to where `kept` says."""
    if kept is None or bound.asset is None:
        return []
    s3_arn = _s3_arn(scope)
    statements = [
        allow(["s3:PutObject"], f"{s3_arn}{kept}*"),
        # Without it, S3 answers a request for a missing copy with "access denied".
        allow(["s3:ListBucket"], f"{s3_arn}{bound.asset.bucket_name}"),
    ]
    if bound.asset.kms_key_arn is not None:
        statements.append(allow(["kms:Decrypt", "kms:GenerateDataKey"], bound.asset.kms_key_arn))
    return statements


def _s3_arn(scope: Construct) -> str:
    return f"arn:{partition_of(scope)}:s3:::"
