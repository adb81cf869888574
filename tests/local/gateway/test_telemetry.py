"""What one endpoint of the running cloud publishes, read by boto3."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.stacks import Bucket, Stack, serving, settled


@pytest.fixture(scope="module")
def endpoint(client: Callable[..., Any], bucket: Bucket) -> Iterator[str]:
    stack = Stack(client("cloudformation"), "watched")
    resources = serving("watched", bucket, {"one": bucket.adapter("1")})
    resources["Endpoint"]["Properties"]["EndpointName"] = "watched"
    assert stack.create(resources) == "CREATE_COMPLETE"
    yield "watched"
    stack.delete()


def invoke(client: Callable[..., Any], component: str, **body: Any) -> None:
    answer = client("sagemaker-runtime").invoke_endpoint(
        EndpointName="watched", InferenceComponentName=f"watched-{component}", Body=json.dumps(body)
    )
    answer["Body"].read()


def total(client: Callable[..., Any], metric: str, **dimensions: str) -> dict[str, Any]:
    now = time.time()
    listed = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    (point,) = client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=listed,
        StartTime=now - 3_600,
        EndTime=now + 60,
        Period=36_000_000,
        Statistics=["Sum", "SampleCount", "Minimum"],
    )["Datapoints"]
    return dict(point)


def test_metrics_of_invocations(endpoint: str, client: Callable[..., Any]) -> None:
    def ask(status: int) -> None:
        invoke(client, "one", **({} if status == 200 else {"status": status}))

    with ThreadPoolExecutor(4) as pool:
        outcomes = [pool.submit(ask, status) for status in (200, 200, 200, 404, 503)]
    assert [isinstance(one.exception(), ClientError) for one in outcomes] == [False] * 3 + [True] * 2
    for dimensions in (
        {"InferenceComponentName": "watched-one"},
        {"EndpointName": "watched", "VariantName": "v"},
    ):
        assert total(client, "Invocations", **dimensions)["Sum"] == 5
        assert total(client, "InvocationModelErrors", **dimensions)["Sum"] == 2
        latency = total(client, "ModelLatency", **dimensions)
        assert (latency["SampleCount"], latency["Unit"]) == (5, "Microseconds")
        assert latency["Minimum"] > 100


def test_component_without_copies_has_no_capacity(endpoint: str, client: Callable[..., Any]) -> None:
    sagemaker = client("sagemaker")

    def scale(copies: int) -> None:
        sagemaker.update_inference_component_runtime_config(
            InferenceComponentName="watched-base", DesiredRuntimeConfig={"CopyCount": copies}
        )
        settled(sagemaker, "watched-base")

    scale(0)
    for component in ("base", "one"):
        with pytest.raises(ClientError, match="has no capacity to process this request") as refused:
            invoke(client, component)
        assert refused.value.response["Error"]["Code"] == "ValidationError"
    failures = "NoCapacityInvocationFailures"
    assert total(client, failures, InferenceComponentName="watched-one")["Sum"] == 1
    assert total(client, failures, InferenceComponentName="watched-base")["Sum"] == 2
    scale(1)
    invoke(client, "one")


def test_copies_of_a_component_have_log_streams(
    endpoint: str, client: Callable[..., Any], settings: Callable[..., Any]
) -> None:
    settings(time_scale=0.1)
    group, end = "/aws/sagemaker/InferenceComponents/watched-base", time.monotonic() + 5
    lines: list[str] = []
    while not lines and time.monotonic() < end:
        groups = client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        if groups:
            lines = [
                event["message"] for event in client("logs").filter_log_events(logGroupName=group)["events"]
            ]
        time.sleep(0.1)
    assert lines[0] == "registered watched-one"
