"""Buckets have the tags of their template.

Fault of ministack: it drops them, and the auto-delete-objects handler of the CDK empties tagged buckets only.
"""

from typing import Any

from ministack.services import s3
from ministack.services.cloudformation import provisioners

from local_sagemaker.ministack_patches.internals import after_provisioning, expect

_TYPE = "AWS::S3::Bucket"


def install() -> None:
    """Store the Tags property and the stack's tags after a create and an update."""
    expect(_TYPE not in provisioners._STACK_TAG_PROPERTY, f"{_TYPE} takes no stack tags")
    expect(hasattr(s3, "_bucket_tags"), "s3._bucket_tags holds the tags of buckets")
    after_provisioning(_TYPE, _tag)
    provisioners._STACK_TAG_PROPERTY[_TYPE] = ("Tags", "list")


def _tag(bucket: str, properties: dict[str, Any]) -> None:
    tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
    if tags:
        s3._bucket_tags[bucket] = tags
    else:
        s3._bucket_tags.pop(bucket, None)
