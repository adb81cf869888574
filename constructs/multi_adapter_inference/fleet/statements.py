"""What the functions of a fleet may do with inference components, and with manifests and archives in S3."""

from aws_cdk import aws_s3 as s3
from constructs import Construct

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.common.validators import holds_token
from multi_adapter_inference.adapters.artifact import ADAPTER_ARCHIVES
from multi_adapter_inference.components.base_component_interface import IBaseComponent
from multi_adapter_inference.manifests.manifest import MANIFESTS, BoundManifest
from multi_adapter_inference.template.arns import component_arn, component_arn_spellings
from multi_adapter_inference.template.stack_location import partition_of
from multi_adapter_inference.template.statements import Statement, allow, reads_objects


def manages_components(
    scope: Construct, *, endpoint_arn: str, base_component_name: str, uid: str
) -> list[Statement]:
    """Return the statements for a pass. It may write only components with the fleet's tag."""
    components = component_arn(scope, "*")
    requested = {"StringEquals": {f"aws:RequestTag/{FLEET_TAG}": uid}}
    owned = {"StringEquals": {f"aws:ResourceTag/{FLEET_TAG}": uid}}

    return [
        allow(["sagemaker:ListInferenceComponents"], "*"),
        allow(["sagemaker:DescribeInferenceComponent", "sagemaker:ListTags"], components),
        allow(["sagemaker:CreateInferenceComponent"], components, endpoint_arn, conditions=requested),
        allow(
            ["sagemaker:AddTags"],
            components,
            # For a creation or an import. A component of another fleet is never tagged. IAM does not know on
            # which endpoint the others are, nor which are of a stack: CloudFormation does not tag components.
            conditions={**requested, "StringEqualsIfExists": {f"aws:ResourceTag/{FLEET_TAG}": uid}},
        ),
        # Before an import. No source says which resource a call has that names no stack.
        allow(["cloudformation:DescribeStackResources"], "*"),
        allow(["sagemaker:AddTags", "sagemaker:DeleteTags"], components, conditions=owned),
        allow(
            [
                "sagemaker:DeleteInferenceComponent",
                "sagemaker:InvokeEndpoint",
                "sagemaker:UpdateInferenceComponent",
            ],
            components,
            conditions=owned,
        ),
        # The base model's own answer shows whether it answers in an adapter's place.
        allow(
            ["sagemaker:InvokeEndpoint"], endpoint_arn, *component_arn_spellings(scope, base_component_name)
        ),
    ]


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
