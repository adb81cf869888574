from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from local_sagemaker.server import LocalCloud
from tests.local.stacks import Bucket, Stack, serving


def test_cloud_answers_while_a_deployment_waits(
    stack: Stack, bucket: Bucket, client: Callable[..., Any], settings: Callable[..., None]
) -> None:
    settings(endpoint_seconds=1.5)
    body = json.dumps({"Resources": serving(stack.name, bucket, {})})
    client("cloudformation").create_stack(StackName=stack.name, TemplateBody=body)
    s3 = client("s3")
    slowest = 0.0
    while stack._describe()["StackStatus"] == "CREATE_IN_PROGRESS":
        started = time.monotonic()
        s3.list_buckets()
        slowest = max(slowest, time.monotonic() - started)
    assert stack.settled() == "CREATE_COMPLETE"
    assert slowest < 1


def test_failed_update_of_a_component_is_sent_back_in_the_rollback(
    stack: Stack, bucket: Bucket, cloud: LocalCloud
) -> None:
    stack.create(serving(stack.name, bucket, {"one": bucket.adapter("1")}))
    cloud.admin.reset_calls()
    stack.update(serving(stack.name, bucket, {"one": bucket.put("broken.tar.gz", b"no archive")}))
    assert cloud.admin.writes() == {"UpdateInferenceComponent": 2}
