from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from local_sagemaker.runtime.invocations import LONGEST_BODY
from local_sagemaker.server import LocalCloud
from tests.local.stacks import Bucket, Stack, serving


@pytest.fixture(scope="module")
def endpoint(client: Callable[..., Any], bucket: Bucket) -> Iterator[str]:
    """An endpoint with the components endpoint-base, endpoint-one and endpoint-two."""
    stack = Stack(client("cloudformation"), "endpoint")
    resources = serving("endpoint", bucket, {"one": bucket.adapter("1"), "two": bucket.adapter("2")})
    resources["Endpoint"]["Properties"]["EndpointName"] = "Endpoint"
    assert stack.create(resources) == "CREATE_COMPLETE"
    yield "Endpoint"
    stack.delete()


@pytest.fixture(scope="module")
def runtime(client: Callable[..., Any]) -> Any:
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


def update_and_wait(sagemaker: Any, component: str, url: str) -> None:
    sagemaker.update_inference_component(
        InferenceComponentName=component, Specification={"Container": {"ArtifactUrl": url}}
    )
    wait(sagemaker, component)


def wait(sagemaker: Any, component: str) -> None:
    """Until a component is neither being created nor updated."""
    while sagemaker.describe_inference_component(InferenceComponentName=component)[
        "InferenceComponentStatus"
    ] in ("Creating", "Updating"):
        time.sleep(0.02)


def test_answer_is_the_containers_with_its_content_type_and_attributes(endpoint: str, runtime: Any) -> None:
    answer = invoke(runtime, "one", CustomAttributes="trace=1")
    assert answer["said"]["adapter"] == "1"
    assert answer["ContentType"] == "application/json; charset=utf-8"
    assert answer["InvokedProductionVariant"] == "v"
    assert answer["CustomAttributes"] == "trace=1"


def test_base_is_asked_without_an_adapter(endpoint: str, runtime: Any) -> None:
    said = invoke(runtime, "base")["said"]
    assert (said["model"], said["adapter"]) == ("base", None)


def test_many_requests_run_at_once_and_each_gets_its_own_adapter(endpoint: str, runtime: Any) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(32) as pool:
        components = ["one", "two"] * 16
        answers = list(pool.map(lambda component: invoke(runtime, component, {"seconds": 0.5}), components))
    assert [answer["said"]["adapter"] for answer in answers] == ["1", "2"] * 16
    assert time.monotonic() - started < 32 * 0.5 / 4


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"EndpointName": "Nowhere"}, "Endpoint Nowhere of account 000000000000 not found."),
        ({"EndpointName": "endpoint"}, "Endpoint endpoint of account 000000000000 not found."),
        ({"InferenceComponentName": "nobody"}, "Inference component nobody of endpoint Endpoint not found."),
        ({"InferenceComponentName": None}, "Inference Component Name header is required"),
        ({"TargetVariant": "other"}, "Variant other of endpoint Endpoint does not have endpoint-one."),
        (
            {"TargetModel": "model.tar.gz"},
            "Endpoint Endpoint is not a multi-model endpoint and does not support target model header.",
        ),
        ({"TargetContainerHostname": "first"}, "Endpoint Endpoint is not a multi-container endpoint"),
        (
            {"InferenceId": "x" * 65},
            f"1 validation error detected: Value '{'x' * 65}' at 'infer",
        ),
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


def test_variant_of_the_component_may_be_named(endpoint: str, runtime: Any) -> None:
    assert invoke(runtime, "one", TargetVariant="v")["said"]["adapter"] == "1"


def test_asynchronous_invocation_is_refused(endpoint: str, runtime: Any) -> None:
    with pytest.raises(ClientError, match="Endpoint Endpoint is not an asynchronous endpoint") as refused:
        runtime.invoke_endpoint_async(EndpointName="Endpoint", InputLocation="s3://bucket/key")
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_adapter_in_a_container_without_the_path_to_register_it_is_in_service_and_not_found(
    stack: Stack, bucket: Bucket, client: Callable[..., Any], runtime: Any
) -> None:
    resources = serving(stack.name, bucket, {"one": bucket.adapter("1")}, WITHOUT_ADAPTERS="1")
    resources["Endpoint"]["Properties"]["EndpointName"] = stack.name
    assert stack.create(resources) == "CREATE_COMPLETE"
    name = f"{stack.name}-one"
    described = client("sagemaker").describe_inference_component(InferenceComponentName=name)
    assert described["InferenceComponentStatus"] == "InService"
    with pytest.raises(runtime.exceptions.ModelError) as failed:
        runtime.invoke_endpoint(EndpointName=stack.name, InferenceComponentName=name, Body=b"{}")
    assert failed.value.response["OriginalStatusCode"] == 404


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


def test_adapter_that_the_container_has_lost_is_an_error_and_never_answered_by_the_base(
    stack: Stack, bucket: Bucket, client: Callable[..., Any], runtime: Any, settings: Callable[..., None]
) -> None:
    settings(adapters_on_new_copies="lost")
    resources = serving(stack.name, bucket, {"one": bucket.adapter("1")}, VERSION="1")
    resources["Endpoint"]["Properties"]["EndpointName"] = stack.name
    stack.create(resources)
    resources["Model"]["Properties"]["PrimaryContainer"]["Environment"]["VERSION"] = "2"
    assert stack.update(resources) == "UPDATE_COMPLETE"
    with pytest.raises(runtime.exceptions.ModelError) as failed:
        runtime.invoke_endpoint(
            EndpointName=stack.name, InferenceComponentName=f"{stack.name}-one", Body=b"{}"
        )
    assert failed.value.response["OriginalStatusCode"] == 404


def test_component_that_is_not_in_service_is_refused(
    endpoint: str, bucket: Bucket, client: Callable[..., Any], runtime: Any, cloud: LocalCloud
) -> None:
    sagemaker = client("sagemaker")
    cloud.admin.fail_load("endpoint-late", reason="never")
    specification = {
        "BaseInferenceComponentName": "endpoint-base",
        "Container": {"ArtifactUrl": bucket.adapter("late")},
    }
    sagemaker.create_inference_component(
        InferenceComponentName="endpoint-late", EndpointName="Endpoint", Specification=specification
    )
    with pytest.raises(ClientError, match="not in service"):
        invoke(runtime, "late")
    cloud.admin.clear_faults()
    wait(sagemaker, "endpoint-late")
    sagemaker.delete_inference_component(InferenceComponentName="endpoint-late")


def test_stream_arrives_in_the_parts_the_container_sends(endpoint: str, runtime: Any) -> None:
    answer = runtime.invoke_endpoint_with_response_stream(
        EndpointName="Endpoint",
        InferenceComponentName="endpoint-one",
        Body=json.dumps({"parts": ["a", "b", "c"]}),
    )
    assert answer["ContentType"] == "text/event-stream"
    assert answer["InvokedProductionVariant"] == "v"
    arrived = [(event["PayloadPart"]["Bytes"], time.monotonic()) for event in answer["Body"]]
    assert [part for part, _ in arrived] == [b"a", b"b", b"c"]
    assert arrived[-1][1] - arrived[0][1] > 0.05


def test_stream_that_breaks_off_ends_in_a_model_stream_error(endpoint: str, runtime: Any) -> None:
    answer = runtime.invoke_endpoint_with_response_stream(
        EndpointName="Endpoint", InferenceComponentName="endpoint-one", Body=json.dumps({"break": True})
    )
    events = iter(answer["Body"])
    assert next(events)["PayloadPart"]["Bytes"] == b"first"
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        list(events)


def test_stream_whose_client_is_gone_ends_at_the_container_too(
    endpoint: str, bucket: Bucket, client: Callable[..., Any]
) -> None:
    answer = client("sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName="Endpoint",
        InferenceComponentName="endpoint-two",
        Body=json.dumps({"parts": ["part"] * 400}),
    )
    next(iter(answer["Body"]))
    answer["Body"].close()
    # An update waits for the requests in flight; this one would take 20 seconds more.
    started = time.monotonic()
    update_and_wait(client("sagemaker"), "endpoint-two", bucket.adapter("2"))
    assert time.monotonic() - started < 10


def test_error_before_the_stream_is_a_model_error(endpoint: str, runtime: Any) -> None:
    with pytest.raises(runtime.exceptions.ModelError):
        runtime.invoke_endpoint_with_response_stream(
            EndpointName="Endpoint", InferenceComponentName="endpoint-one", Body=json.dumps({"status": 500})
        )


def test_control_plane_answers_while_requests_are_slow(
    endpoint: str, runtime: Any, client: Callable[..., Any]
) -> None:
    sagemaker = client("sagemaker")
    with ThreadPoolExecutor(8) as pool:
        slow = [pool.submit(invoke, runtime, "one", {"seconds": 1}) for _ in range(8)]
        started = time.monotonic()
        sagemaker.list_inference_components()
        assert time.monotonic() - started < 0.8
        for one in slow:
            one.result()


def test_injected_fault_hits_invocations(endpoint: str, runtime: Any, cloud: LocalCloud) -> None:
    cloud.admin.fail_calls("InvokeEndpoint", code="ServiceUnavailable", status=503)
    with pytest.raises(runtime.exceptions.ServiceUnavailable):
        invoke(runtime, "one")
    assert invoke(runtime, "one")["said"]["adapter"] == "1"


def test_update_under_load_loses_no_request_and_never_answers_with_another_adapter(
    stack: Stack, bucket: Bucket, runtime: Any, client: Callable[..., Any]
) -> None:
    resources = serving(stack.name, bucket, {"one": bucket.adapter("old"), "two": bucket.adapter("2")})
    resources["Endpoint"]["Properties"]["EndpointName"] = stack.name
    stack.create(resources)
    sagemaker = client("sagemaker")

    def ask(component: str) -> str:
        answer = runtime.invoke_endpoint(
            EndpointName=stack.name,
            InferenceComponentName=f"{stack.name}-{component}",
            Body=json.dumps({"seconds": 0.05}),
        )
        return str(json.loads(answer["Body"].read())["adapter"])

    with ThreadPoolExecutor(8) as pool:
        asked = [(component, pool.submit(ask, component)) for component in ["one", "two"] * 60]
        for text in ("new", "newer"):
            update_and_wait(sagemaker, f"{stack.name}-one", bucket.adapter(text))
        answers = {(component, future.result()) for component, future in asked}
    assert answers <= {("one", "old"), ("one", "new"), ("one", "newer"), ("two", "2")}
    assert ask("one") == "newer"


@pytest.mark.parametrize("strategy", ["RANDOM", "LEAST_OUTSTANDING_REQUESTS"])
def test_copy_whose_process_is_killed_gets_no_requests_and_comes_back_to_share_them(
    stack: Stack, bucket: Bucket, runtime: Any, client: Callable[..., Any], strategy: str
) -> None:
    resources = serving(stack.name, bucket, {"one": bucket.adapter("1")})
    resources["Endpoint"]["Properties"]["EndpointName"] = stack.name
    resources["Base"]["Properties"]["RuntimeConfig"] = {"CopyCount": 2}
    (variant,) = resources["Config"]["Properties"]["ProductionVariants"]
    variant["InitialInstanceCount"] = "2"
    variant["RoutingConfig"] = {"RoutingStrategy": strategy}
    assert stack.create(resources) == "CREATE_COMPLETE"
    sagemaker = client("sagemaker")

    def ask() -> int:
        answer = runtime.invoke_endpoint(
            EndpointName=stack.name, InferenceComponentName=f"{stack.name}-one", Body=b"{}"
        )
        said = json.loads(answer["Body"].read())
        assert said["adapter"] == "1"
        return int(said["process"])

    def copies() -> int:
        described = sagemaker.describe_inference_component(InferenceComponentName=f"{stack.name}-base")
        return int(described["RuntimeConfig"]["CurrentCopyCount"])

    killed = ask()
    os.kill(killed, signal.SIGKILL)
    while copies() == 2 and Path(f"/proc/{killed}").exists():
        time.sleep(0.01)
    assert all(ask() != killed for _ in range(20))
    deadline = time.monotonic() + 20
    while copies() < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert copies() == 2
    answered_by = {ask() for _ in range(40)}  # one after another, and still by both
    assert killed not in answered_by
    assert len(answered_by) == 2
