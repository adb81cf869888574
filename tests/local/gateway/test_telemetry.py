"""What one endpoint of the running cloud publishes, read by boto3."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.stacks import Bucket, Stack, serving
from tests.local.waiting import until


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


def test_invocations_are_in_metrics_of_the_component_and_the_variant(
    endpoint: str, client: Callable[..., Any]
) -> None:
    for status in (200, 404):
        with contextlib.suppress(ClientError):
            invoke(client, "one", **({} if status == 200 else {"status": status}))

    def read(metric: str, **dimensions: str) -> dict[str, Any]:
        now = time.time()
        (point,) = client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
            StartTime=now - 3_600,
            EndTime=now + 60,
            Period=36_000_000,
            Statistics=["Sum", "SampleCount", "Minimum"],
        )["Datapoints"]
        return dict(point)

    component = {"InferenceComponentName": "watched-one"}
    for dimensions in (component, {"EndpointName": "watched", "VariantName": "v"}):
        assert read("Invocations", **dimensions)["Sum"] == 2
        assert read("InvocationModelErrors", **dimensions)["Sum"] == 1
        latency = read("ModelLatency", **dimensions)
        assert (latency["SampleCount"], latency["Unit"]) == (2, "Microseconds")
        assert latency["Minimum"] > 100


def test_copies_of_a_component_have_log_streams(
    endpoint: str, client: Callable[..., Any], settings: Callable[..., Any]
) -> None:
    settings(time_scale=0.1)
    group = "/aws/sagemaker/InferenceComponents/watched-base"
    until(lambda: client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"])
    events = until(lambda: client("logs").filter_log_events(logGroupName=group)["events"])
    assert events[0]["message"] == "registered watched-one"
