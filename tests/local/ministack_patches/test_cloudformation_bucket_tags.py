from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.local.stacks import Stack


def test_bucket_has_the_tags_of_its_template_and_of_its_stack(
    stack: Stack, client: Callable[..., Any]
) -> None:
    bucket = {
        "Type": "AWS::S3::Bucket",
        "Properties": {"Tags": [{"Key": "aws-cdk:auto-delete-objects", "Value": "true"}]},
    }
    stack.create({"Bucket": bucket}, tags={"team": "a"})
    tags = client("s3").get_bucket_tagging(Bucket=stack.physical_id("Bucket"))["TagSet"]
    assert {"Key": "aws-cdk:auto-delete-objects", "Value": "true"} in tags
    assert {"Key": "team", "Value": "a"} in tags
