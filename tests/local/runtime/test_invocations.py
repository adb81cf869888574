import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from local_sagemaker.runtime.invocations import LONGEST_BODY
from local_sagemaker.server import LocalCloud
from tests.local.conftest import Client
from tests.local.stacks import Bucket, Stack, serving, settled, until


@pytest.fixture(scope="module")
def endpoint(client: Client, bucket: Bucket) -> Iterator[str]:
    """An endpoint with the components endpoint-base, endpoint-one and endpoint-two."""
    stack = Stack(client("cloudformation"), "endpoint")
    resources = serving("endpoint", bucket, {"one": bucket.adapter("1"), "two": bucket.adapter("2")})
    resources["Endpoint"]["Properties"]["EndpointName"] = "Endpoint"
    assert stack.create(resources) == "CREATE_COMPLETE"
    yield "Endpoint"
    stack.delete()


@pytest.fixture(scope="module")
def runtime(client: Client) -> Any:
    return client("sagemaker-runtime")


def invoke(runtime: Any, component: str, body: object = None, **more: str) -> dict[str, Any]:
    answer = runtime.invoke_endpoint(
        EndpointName="Endpoint",
        InferenceComponentName=f"endpoint-{component}",
        ContentType="application/json",
        Body=json.dumps(body or {}),
        **more,
    )
    return {**answer, "said": json.loads(answer["Body"].read())}


def test_answer_is_the_containers_with_its_content_type_and_attributes(endpoint: str, runtime: Any) -> None:
    answer = invoke(runtime, "one", CustomAttributes="trace=1", TargetVariant="v")
    assert answer["said"]["adapter"] == "1"
    assert answer["ContentType"] == "application/json; charset=utf-8"
    assert answer["InvokedProductionVariant"] == "v"
    assert answer["CustomAttributes"] == "trace=1"


def test_adapter_in_the_query_or_in_a_header_of_the_caller_does_not_reach_the_container(
    endpoint: str, client: Client
) -> None:
    runtime = client("sagemaker-runtime")

    def name_adapter(request: Any, **_: Any) -> None:
        request.url += "?adapter=endpoint-one"
        request.headers["X-Amzn-SageMaker-Adapter-Identifier"] = "endpoint-one"

    runtime.meta.events.register("before-sign.sagemaker-runtime.InvokeEndpoint", name_adapter)
    said = invoke(runtime, "base")["said"]
    assert (said["model"], said["adapter"], said["query"]) == ("base", None, "")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"EndpointName": "endpoint"}, "Endpoint endpoint of account 000000000000 not found."),
        ({"InferenceComponentName": "nobody"}, "Inference component nobody of endpoint Endpoint not found."),
        ({"InferenceComponentName": None}, "Inference Component Name header is required"),
        ({"TargetVariant": "other"}, "Variant other of endpoint Endpoint does not have endpoint-one."),
        (
            {"TargetModel": "model.tar.gz"},
            "Endpoint Endpoint is not a multi-model endpoint and does not support target model header.",
        ),
        ({"TargetContainerHostname": "first"}, "Endpoint Endpoint is not a multi-container endpoint"),
        ({"CustomAttributes": "x" * 1025}, f"1 validation error detected: Value '{'x' * 1025}' at 'customA"),
        ({"SessionId": "a_b", "InferenceId": "x" * 65}, "2 validation errors detected: Value"),
    ],
)
def test_wrong_target_is_a_validation_error(
    endpoint: str, runtime: Any, request_: dict[str, str | None], message: str
) -> None:
    request = {"EndpointName": "Endpoint", "InferenceComponentName": "endpoint-one", "Body": b"{}"} | request_
    with pytest.raises(ClientError) as refused:
        runtime.invoke_endpoint(**{key: value for key, value in request.items() if value is not None})
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert refused.value.response["Error"]["Message"].startswith(message)


def test_asynchronous_invocation_is_refused(endpoint: str, runtime: Any) -> None:
    with pytest.raises(ClientError, match="Endpoint Endpoint is not an asynchronous endpoint") as refused:
        runtime.invoke_endpoint_async(EndpointName="Endpoint", InputLocation="s3://bucket/key")
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_body_is_refused_above_the_services_limit(endpoint: str, runtime: Any) -> None:
    request = {"EndpointName": "Endpoint", "InferenceComponentName": "endpoint-one"}
    longest = b"{}".ljust(LONGEST_BODY)
    assert len(longest) == 6 * 1024**2
    assert runtime.invoke_endpoint(**request, Body=longest)["ResponseMetadata"]["HTTPStatusCode"] == 200
    for operation in (runtime.invoke_endpoint, runtime.invoke_endpoint_with_response_stream):
        with pytest.raises(ClientError) as refused:
            operation(**request, Body=longest + b" ")
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
        message = refused.value.response["Error"]["Message"]
        assert message == "HTTP content length exceeded 6291456 bytes."


@pytest.mark.parametrize(("status", "side"), [(400, "client"), (503, "server")])
def test_error_of_the_container_is_a_model_error(endpoint: str, runtime: Any, status: int, side: str) -> None:
    with pytest.raises(runtime.exceptions.ModelError) as failed:
        invoke(runtime, "one", {"status": status})
    answer = failed.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == status
    assert answer["LogStreamArn"] == (
        "arn:aws:logs:us-east-1:000000000000:log-group:/aws/sagemaker/InferenceComponents/endpoint-one"
    )
    assert json.loads(answer["OriginalMessage"]) == {"message": "as you wish"}
    assert answer["Error"]["Message"].startswith(
        f"Received {side} error ({status}) from endpoint-one with message"
    )


def test_component_that_is_not_in_service_is_refused(endpoint: str, client: Client, runtime: Any) -> None:
    sagemaker, late = client("sagemaker"), {"InferenceComponentName": "endpoint-late"}
    specification = {
        "BaseInferenceComponentName": "endpoint-base",
        "Container": {"ArtifactUrl": "s3://nowhere/late.tar.gz"},
    }
    sagemaker.create_inference_component(**late, EndpointName="Endpoint", Specification=specification)
    with pytest.raises(ClientError, match="not in service"):
        invoke(runtime, "late")
    settled(sagemaker, "endpoint-late")
    sagemaker.delete_inference_component(**late)


def test_invocations_are_in_metrics_of_the_component_and_the_variant(
    endpoint: str, runtime: Any, client: Client
) -> None:
    def read() -> list[tuple[float, ...]]:
        """The sums of invocations, errors of the model and latencies, by component and by variant."""
        now, found = time.time(), []
        for dimensions in (
            {"InferenceComponentName": "endpoint-one"},
            {"EndpointName": "Endpoint", "VariantName": "v"},
        ):
            query = {
                "Namespace": "AWS/SageMaker",
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
                "StartTime": now - 3_600,
                "EndTime": now + 60,
                "Period": 36_000_000,
                "Statistics": ["Sum"],
            }
            names = ("Invocations", "InvocationModelErrors", "ModelLatency")
            points = [client("cloudwatch").get_metric_statistics(**query, MetricName=name) for name in names]
            found.append(tuple(sum(one["Sum"] for one in point["Datapoints"]) for point in points))
        return found

    before = read()
    invoke(runtime, "one")
    with contextlib.suppress(ClientError):
        invoke(runtime, "one", {"status": 404})
    for earlier, later in zip(before, read(), strict=True):
        invocations, errors, microseconds = (new - old for new, old in zip(later, earlier, strict=True))
        assert (invocations, errors) == (2, 1)
        assert microseconds > 200


def stream(runtime: Any, component: str, body: object) -> dict[str, Any]:
    answer: dict[str, Any] = runtime.invoke_endpoint_with_response_stream(
        EndpointName="Endpoint", InferenceComponentName=f"endpoint-{component}", Body=json.dumps(body)
    )
    return answer


def test_stream_arrives_in_the_parts_the_container_sends(endpoint: str, runtime: Any) -> None:
    answer = stream(runtime, "one", {"parts": ["a", "b", "c"]})
    assert answer["ContentType"] == "text/event-stream"
    assert answer["InvokedProductionVariant"] == "v"
    arrived = [(event["PayloadPart"]["Bytes"], time.monotonic()) for event in answer["Body"]]
    assert [part for part, _ in arrived] == [b"a", b"b", b"c"]
    assert arrived[-1][1] - arrived[0][1] > 0.05


def test_stream_that_breaks_off_ends_in_a_model_stream_error(endpoint: str, runtime: Any) -> None:
    events = iter(stream(runtime, "one", {"break": True})["Body"])
    assert next(events)["PayloadPart"]["Bytes"] == b"first"
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        list(events)


def test_stream_whose_client_is_gone_ends_at_the_container_too(
    endpoint: str, bucket: Bucket, client: Client
) -> None:
    answer = stream(client("sagemaker-runtime"), "two", {"parts": ["part"] * 400})
    next(iter(answer["Body"]))
    answer["Body"].close()
    # An update waits for the requests in flight; this one would take 20 seconds more.
    started, sagemaker = time.monotonic(), client("sagemaker")
    sagemaker.update_inference_component(
        InferenceComponentName="endpoint-two",
        Specification={"Container": {"ArtifactUrl": bucket.adapter("2")}},
    )
    settled(sagemaker, "endpoint-two")
    assert time.monotonic() - started < 10


def test_injected_fault_hits_invocations(endpoint: str, runtime: Any, cloud: LocalCloud) -> None:
    cloud.admin.fail_calls("InvokeEndpoint", code="ServiceUnavailable", status=503)
    with pytest.raises(runtime.exceptions.ServiceUnavailable):
        invoke(runtime, "one")
    assert invoke(runtime, "one")["said"]["adapter"] == "1"


def test_copy_whose_process_is_killed_gets_no_requests_and_comes_back_to_share_them(
    stack: Stack, bucket: Bucket, runtime: Any, client: Client
) -> None:
    resources = serving(stack.name, bucket, {})
    resources["Endpoint"]["Properties"]["EndpointName"] = stack.name
    resources["Base"]["Properties"]["RuntimeConfig"] = {"CopyCount": 2}
    (variant,) = resources["Config"]["Properties"]["ProductionVariants"]
    variant["InitialInstanceCount"] = "2"
    variant["RoutingConfig"] = {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
    assert stack.create(resources) == "CREATE_COMPLETE"
    base = {"InferenceComponentName": f"{stack.name}-base"}

    def ask() -> int:
        answer = runtime.invoke_endpoint(EndpointName=stack.name, **base, Body=b"{}")
        return int(json.loads(answer["Body"].read())["process"])

    def copies() -> int:
        described = client("sagemaker").describe_inference_component(**base)
        return int(described["RuntimeConfig"]["CurrentCopyCount"])

    killed = ask()
    os.kill(killed, signal.SIGKILL)
    while copies() == 2 and Path(f"/proc/{killed}").exists():
        time.sleep(0.01)
    assert all(ask() != killed for _ in range(20))
    until(lambda: copies() == 2)
    answered_by = {ask() for _ in range(40)}  # one after another, and still by both
    assert (len(answered_by), killed in answered_by) == (2, False)


def test_adapter_whose_base_has_no_copy_is_refused_in_the_services_words(
    endpoint: str, runtime: Any, client: Client
) -> None:
    sagemaker = client("sagemaker")

    def scale(copies: int) -> None:
        sagemaker.update_inference_component_runtime_config(
            InferenceComponentName="endpoint-base", DesiredRuntimeConfig={"CopyCount": copies}
        )
        until(lambda: copies_now() == (copies, "InService"))

    def copies_now() -> tuple[int, str]:
        base = sagemaker.describe_inference_component(InferenceComponentName="endpoint-base")
        return base["RuntimeConfig"]["CurrentCopyCount"], base["InferenceComponentStatus"]

    scale(0)
    with pytest.raises(ClientError, match="Inference Component has no capacity to process this") as refusal:
        invoke(runtime, "one")
    assert refusal.value.response["Error"]["Code"] == "ValidationError"
    scale(1)
    assert invoke(runtime, "one")["said"]["adapter"] == "1"
