from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.local.stacks import Bucket, Stack, serving


def test_content_type_of_an_invocation_is_the_containers(
    stack: Stack, bucket: Bucket, client: Callable[..., Any]
) -> None:
    resources = serving(stack.name, bucket, {})
    resources["Endpoint"]["Properties"]["EndpointName"] = stack.name
    stack.create(resources)
    answer = client("sagemaker-runtime").invoke_endpoint(
        EndpointName=stack.name, InferenceComponentName=f"{stack.name}-base", Body=b"{}"
    )
    assert answer["ContentType"] == "application/json; charset=utf-8"
