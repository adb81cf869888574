from __future__ import annotations

from local_sagemaker.server import LocalCloud
from tests.local.stacks import Bucket, Stack, serving


def test_failed_update_of_a_component_is_sent_back_in_the_rollback(
    stack: Stack, bucket: Bucket, cloud: LocalCloud
) -> None:
    stack.create(serving(stack.name, bucket, {"one": bucket.adapter("1")}))
    cloud.admin.reset_calls()
    stack.update(serving(stack.name, bucket, {"one": bucket.put("broken.tar.gz", b"no archive")}))
    assert cloud.admin.writes() == {"UpdateInferenceComponent": 2}
