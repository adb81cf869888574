"""Buckets have the tags of their template.

Fault of ministack: it drops them, and the auto-delete-objects handler of the CDK empties tagged buckets only.
"""

from typing import Any

from ministack.services import s3
from ministack.services.cloudformation import provisioners

from local_sagemaker.ministack_patches.internals import expect

_TYPE = "AWS::S3::Bucket"


def install() -> None:
    """Store the Tags property and the stack's tags after a create and an update."""
    handlers = provisioners._RESOURCE_HANDLERS.get(_TYPE, {})
    expect({"create", "update"} <= handlers.keys(), f"{_TYPE} has create and update handlers")
    expect(_TYPE not in provisioners._STACK_TAG_PROPERTY, f"{_TYPE} takes no stack tags")
    expect(hasattr(s3, "_bucket_tags"), "s3._bucket_tags holds the tags of buckets")
    create, update = handlers["create"], handlers["update"]

    def tagged(
        provisioned: tuple[str, dict[str, Any]], properties: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
        if tags:
            s3._bucket_tags[provisioned[0]] = tags
        else:
            s3._bucket_tags.pop(provisioned[0], None)
        return provisioned

    def create_tagged(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        return tagged(create(logical_id, properties, stack), properties)

    def update_tagged(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str
    ) -> tuple[str, dict[str, Any]]:
        return tagged(update(physical_id, old, new, stack), new)

    handlers["create"], handlers["update"] = create_tagged, update_tagged
    provisioners._STACK_TAG_PROPERTY[_TYPE] = ("Tags", "list")
