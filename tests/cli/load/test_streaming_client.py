"""Times of streamed answers, through the real boto3."""

import json
from dataclasses import replace
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.config import Config

from adapters_cli.aws.runtime_endpoint import RuntimeEndpoint
from adapters_cli.load.streaming_client import RequestError, StreamingClient, StreamTimes
from tests.cli.fake_runtime import Call, FakeRuntime, Reply


def event(content: object) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def token(text: str) -> bytes:
    return event({"choices": [{"text": text}]})


USAGE = event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}})
DONE = b"data: [DONE]\n\n"


@pytest.fixture
def client(runtime: FakeRuntime) -> StreamingClient:
    """A client whose clock ticks once for every look at it."""
    made: Any = boto3.client  # whose stubs want each service by its name
    config = Config(retries={"total_max_attempts": 1})
    ticks = count()
    endpoint = RuntimeEndpoint("llm", made("sagemaker-runtime", endpoint_url=runtime.url, config=config))
    return StreamingClient(endpoint, lambda: float(next(ticks)))


def test_first_event_without_text_is_not_the_first_token(
    runtime: FakeRuntime, client: StreamingClient
) -> None:
    runtime.reply = lambda call: Reply.stream(token(""), token("a"), token("b"), USAGE, DONE)
    # Each of the four events looks at the clock once, after the request and before the end.
    assert client.ask("llm-acme", "Hello", 3) == StreamTimes(sent=0, first=2, ended=5, output_tokens=3)


def test_tokens_are_the_events_with_text_if_the_container_does_not_count(
    runtime: FakeRuntime, client: StreamingClient
) -> None:
    runtime.reply = lambda call: Reply.stream(token(""), token("a"), token("b"), DONE)
    times = client.ask("llm-acme", "Hello", 3)
    assert times.output_tokens == 2
    assert times.inter_token is not None
    # Special tokens alone have no text.
    runtime.reply = lambda call: Reply.stream(token(""), token(""), USAGE, DONE)
    times = client.ask("llm-acme", "Hello", 3)
    assert (times.error, times.output_tokens, times.latency) == (None, 3, 4)
    assert (times.first_token, times.inter_token) == (None, None)


def test_request_is_streamed_and_has_a_fixed_length(runtime: FakeRuntime, client: StreamingClient) -> None:
    client.ask("llm-acme", "Hello", 3)
    body = {"prompt": "Hello", "max_tokens": 3, "temperature": 0, "stream": True, "ignore_eos": True}
    body |= {"stream_options": {"include_usage": True}}
    assert runtime.calls == [Call("/endpoints/llm/invocations-response-stream", "llm-acme", body)]


def refuses(*names: str) -> Reply:
    return Reply.error(424, "ModelError", Message="no", OriginalStatusCode=400, OriginalMessage=f"{names}")


@pytest.mark.parametrize("fixed_length", [True, False])
def test_container_that_refuses_a_fixed_length_is_asked_without(
    runtime: FakeRuntime, client: StreamingClient, fixed_length: bool
) -> None:
    def reply(call: Call) -> Reply:
        if "ignore_eos" in call.body and not fixed_length:
            return refuses("ignore_eos")
        return Reply.stream(token("a"), DONE)

    runtime.reply = reply
    assert client.settle("llm-acme", "Hello", 3) is None
    assert client.fixed_length is fixed_length


def test_container_that_takes_no_completion_is_an_error(
    runtime: FakeRuntime, client: StreamingClient
) -> None:
    runtime.reply = lambda call: refuses("prompt")
    assert client.settle("llm-acme", "Hello", 3) == RequestError(kind="ModelError 400", message="no")
    assert ["ignore_eos" in call.body for call in runtime.calls] == [True, False]


def test_error_that_is_no_refusal_of_the_request_is_not_tried_again(
    runtime: FakeRuntime, client: StreamingClient
) -> None:
    runtime.reply = lambda call: Reply.error(400, "ThrottlingException", message="slow down")
    error = client.settle("llm-acme", "Hello", 3)
    assert error == RequestError(kind="ThrottlingException", message="slow down")
    assert len(runtime.calls) == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refuses("anything"), "ModelError 400"),
        (Reply.stream(token("a"), failure="it broke"), "ModelStreamError"),
        (Reply.stream(event({"error": {"message": "no memory"}})), "error in the stream"),
        (Reply.stream(DONE), "no text"),
        (Reply.stream(b"data: {nonsense\n\n"), "JSONDecodeError"),
        (Reply(b"no event stream at all"), "ChecksumMismatch"),
    ],
)
def test_each_kind_of_error_has_its_name(
    runtime: FakeRuntime, client: StreamingClient, reply: Reply, kind: str
) -> None:
    runtime.reply = lambda call: reply
    error = client.ask("llm-acme", "Hello", 2).error
    assert error is not None
    assert error.kind == kind


def test_latencies_begin_when_the_request_is_sent() -> None:
    times = StreamTimes(sent=10, first=13, ended=17, output_tokens=5)
    assert (times.first_token, times.inter_token, times.latency) == (3, 1, 7)
    assert replace(times, output_tokens=1).inter_token is None
