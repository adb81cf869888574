from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

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
