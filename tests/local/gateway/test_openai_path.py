"""The OpenAI path: who answers, what is passed on, and who is refused."""

from __future__ import annotations

import functools
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from local_sagemaker.server import LocalCloud
from tests.local.bearer import bearer_token, encoded, signed_request
from tests.local.conftest import boto_client
from tests.local.iam_users import allow, make_keys, policy
from tests.local.stacks import Bucket, Stack, serving

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
ENDPOINT = f"{ARN}:endpoint/chat"
COMPONENTS = f"{ARN}:inference-component/*"
TOKEN = allow("sagemaker:CallWithBearerToken", "*")
EXPIRED = "Bearer Token has expired"
INVALID = "Authentication failed: Please make sure your API Key is valid."

Ask = Callable[..., httpx.Response]


def path(component: str | None, *, endpoint: str = "Chat", rest: str = "/chat/completions") -> str:
    below = "" if component is None else f"/inference-components/{component}"
    return f"/endpoints/{endpoint}{below}/openai/v1{rest}"


def made(cloud: LocalCloud, role: str | None = None) -> Stack:
    """The endpoint "Chat" with the components chat-base, chat-one and chat-two."""
    bucket = Bucket(boto_client(cloud, "s3"))
    stack = Stack(boto_client(cloud, "cloudformation"), "chat")
    adapters = {"one": bucket.adapter("1"), "two": bucket.adapter("2")}
    resources = serving(stack.name, bucket, adapters)
    resources["Endpoint"]["Properties"]["EndpointName"] = "Chat"
    if role is not None:
        for resource in ("Model", "Config"):
            resources[resource]["Properties"]["ExecutionRoleArn"] = role
    assert stack.create(resources) == "CREATE_COMPLETE"
    return stack


def asking(cloud: LocalCloud) -> Iterator[Ask]:
    """Sends a chat to a component, with the cloud's own keys unless a token is given."""
    trusted = ssl.create_default_context(cafile=cloud.environment.get("AWS_CA_BUNDLE"))
    with httpx.Client(base_url=cloud.url, verify=trusted, timeout=60) as client:

        def ask(
            component: str | None, body: object = None, *, token: str | None = None, **options: Any
        ) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token or bearer_token()}"} | options.pop("headers", {})
            return client.post(path(component, **options), headers=headers, json=body or {})

        yield ask


@pytest.fixture(scope="module")
def deployed(cloud: LocalCloud) -> Iterator[Stack]:
    stack = made(cloud)
    yield stack
    stack.delete()


@pytest.fixture
def ask(cloud: LocalCloud, deployed: Stack) -> Iterator[Ask]:
    yield from asking(cloud)


# --- who answers


def test_chat_reaches_the_containers_own_path_with_the_adapter_of_the_component(ask: Ask) -> None:
    said = ask("chat-one", {"model": "chat-one", "messages": []}).json()
    assert (said["adapter"], said["body"]) == ("1", {"model": "chat-one", "messages": []})
    assert ask("chat-base", {"model": ""}).json()["adapter"] is None


@pytest.mark.parametrize(
    ("openai_adapter", "model", "adapter"),
    [
        ("component", "chat-one", "1"),
        ("component", "chat-two", "1"),
        ("model", "chat-one", "1"),
        ("model", "chat-two", "2"),
    ],
)
def test_setting_says_whether_the_component_or_the_model_chooses_the_adapter(
    ask: Ask, settings: Callable[..., Any], openai_adapter: str, model: str, adapter: str
) -> None:
    settings(openai_adapter=openai_adapter)
    assert ask("chat-one", {"model": model}).json()["adapter"] == adapter


def test_components_name_is_the_model_after_an_update_as_well(
    cloud: LocalCloud, bucket: Bucket, ask: Ask, settings: Callable[..., Any]
) -> None:
    settings(openai_adapter="model", adapter_update="gapless")
    sagemaker = boto_client(cloud, "sagemaker")
    sagemaker.update_inference_component(
        InferenceComponentName="chat-two", Specification={"Container": {"ArtifactUrl": bucket.adapter("new")}}
    )
    while (
        sagemaker.describe_inference_component(InferenceComponentName="chat-two")["InferenceComponentStatus"]
        == "Updating"
    ):
        time.sleep(0.02)
    assert ask("chat-two", {"model": "chat-two"}).json()["adapter"] == "new"


# --- what is passed on


def test_stream_comes_part_by_part(cloud: LocalCloud, deployed: Stack) -> None:
    parts = [f"data: {number}\n\n" for number in range(4)]
    with (
        httpx.Client(base_url=cloud.url) as client,
        client.stream(
            "POST",
            path("chat-one"),
            headers={"Authorization": f"Bearer {bearer_token()}"},
            json={"parts": parts},
        ) as answer,
    ):
        arrived = [(text, time.monotonic()) for text in answer.iter_text() if text]
    assert answer.headers["content-type"] == "text/event-stream"
    assert "".join(text for text, _ in arrived) == "".join(parts)
    # The container waits 0.05 s after each part.
    assert arrived[-1][1] - arrived[0][1] > 0.1


def test_stream_that_the_container_breaks_off_is_broken_off(ask: Ask) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        ask("chat-one", {"break": True, "parts": ["data: 1\n\n"]})


# --- what is refused


@pytest.mark.parametrize(
    ("component", "options", "status", "code", "message"),
    [
        (None, {}, 400, "ValidationError", "Inference Component Name header is required"),
        ("nobody", {}, 400, "ValidationError", "Inference component nobody of endpoint Chat not found."),
        ("chat-one", {"rest": "/completions"}, 404, "UnknownOperationException", "POST /endpoints/Chat/"),
        ("chat-one", {"rest": ""}, 404, "UnknownOperationException", "POST /endpoints/Chat/"),
        (
            "chat-one",
            {"headers": {"X-Amzn-SageMaker-Inference-Component": "chat-one"}},
            400,
            "ValidationError",
            "Inference Component Name header is not supported on this path.",
        ),
        (
            "chat-one",
            {"headers": {"Authorization": "Bearer sk"}},
            403,
            "AccessDeniedException",
            "Invalid API Key",
        ),
    ],
)
def test_wrong_request_is_refused_in_the_form_of_the_runtime(
    ask: Ask, component: str | None, options: dict[str, Any], status: int, code: str, message: str
) -> None:
    answer = ask(component, **options)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (status, code)
    assert answer.json()["__type"] == code
    assert answer.json()["Message"].startswith(message)


def test_only_post_is_served(cloud: LocalCloud, deployed: Stack) -> None:
    assert httpx.get(f"{cloud.url}{path('chat-one')}").status_code == 404


def test_errors_can_be_those_of_openai(ask: Ask, settings: Callable[..., Any]) -> None:
    settings(openai_errors="openai")
    failed, unknown = ask("chat-one", {"status": 429}), ask("nobody")
    assert (failed.status_code, failed.json()["error"]["code"]) == (429, "model_error")
    assert "as you wish" in failed.json()["error"]["message"]
    assert unknown.status_code == 400
    assert unknown.json() == {
        "error": {
            "message": "Inference component nobody of endpoint Chat not found.",
            "type": "invalid_request_error",
            "code": "validation_error",
        }
    }


def test_signature_of_a_token_counts_as_little_as_any_other_without_iam(ask: Ask) -> None:
    assert ask("chat-one", token=bearer_token("somebody", "wrong", seconds_ago=86_400)).status_code == 200


def test_token_is_for_its_region(ask: Ask) -> None:
    answer = ask("chat-one", token=bearer_token(region="eu-west-1"))
    assert answer.json()["Message"].startswith("Endpoint Chat of account 000000000000 not found.")


# --- with IAM

Caller = Callable[..., tuple[str, ...]]


@pytest.fixture(scope="module")
def secured(guarded: LocalCloud) -> Iterator[Stack]:
    iam = boto_client(guarded, "iam")
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
    }
    role = iam.create_role(RoleName="ChatExecution", AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    allowed = allow(["s3:GetObject", "s3:ListBucket"], "*")
    iam.put_role_policy(RoleName="ChatExecution", PolicyName="read", PolicyDocument=policy(allowed))
    stack = made(guarded, role)
    yield stack
    stack.delete()


@pytest.fixture
def ask_guarded(guarded: LocalCloud, secured: Stack) -> Iterator[Ask]:
    yield from asking(guarded)


@pytest.fixture
def caller(guarded: LocalCloud) -> Caller:
    """Makes a user with policy statements; returns its key and its secret."""
    return functools.partial(make_keys, boto_client(guarded, "iam"))


def invoking(*resources: str) -> dict[str, Any]:
    return allow("sagemaker:InvokeEndpoint", list(resources))


def test_caller_needs_the_token_the_endpoint_and_the_component(ask_guarded: Ask, caller: Caller) -> None:
    one = f"{ARN}:inference-component/chat-one"
    statements = {
        "sagemaker:CallWithBearerToken on resource: * ": TOKEN,
        f"sagemaker:InvokeEndpoint on resource: {ENDPOINT} ": invoking(ENDPOINT),
        f"sagemaker:InvokeEndpoint on resource: {one} ": invoking(one),
    }
    keys = caller(*statements.values())
    assert ask_guarded("chat-one", token=bearer_token(*keys)).json()["adapter"] == "1"
    for missing in statements:
        keys = caller(*(statement for name, statement in statements.items() if name != missing))
        answer = ask_guarded("chat-one", token=bearer_token(*keys))
        assert (answer.status_code, answer.json()["__type"]) == (403, "AccessDeniedException")
        assert missing in answer.json()["Message"]
        assert answer.json()["Message"].startswith("User: arn:aws:iam::000000000000:user/")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds_ago": 3, "expires": 1}, EXPIRED),
        ({"seconds_ago": -600}, INVALID),
    ],
)
def test_token_has_its_time(ask_guarded: Ask, caller: Caller, options: dict[str, Any], message: str) -> None:
    keys = caller(TOKEN, invoking(ENDPOINT, COMPONENTS))
    answer = ask_guarded("chat-one", token=bearer_token(*keys, **options))
    assert (answer.status_code, answer.json()["Message"]) == (403, message)


def test_forged_token_is_refused(ask_guarded: Ask, caller: Caller) -> None:
    key, secret = caller(TOKEN, invoking(ENDPOINT, COMPONENTS))
    for keys in ((key, "guessed"), ("AKIAUNKNOWN", secret), (key, secret, "session")):
        answer = ask_guarded("chat-one", token=bearer_token(*keys))
        assert (answer.status_code, answer.json()["Message"]) == (403, INVALID)
    # The cloud's own account may do everything, and has to sign all the same.
    assert ask_guarded("chat-one", token=bearer_token("000000000000", "guessed")).status_code == 403
    assert ask_guarded("chat-one", token=bearer_token()).status_code == 200


@pytest.mark.parametrize(
    ("signed", "altered"),
    [("X-Amz-Expires=900", "X-Amz-Expires=43200"), ("us-east-1%2Fsagemaker", "eu-west-1%2Fsagemaker")],
    ids=["lifetime", "region"],
)
def test_token_that_was_altered_after_its_signature_is_refused(
    ask_guarded: Ask, caller: Caller, signed: str, altered: str
) -> None:
    request = signed_request(*caller(TOKEN, invoking(ENDPOINT, COMPONENTS)))
    assert request.count(signed) == 1
    assert ask_guarded("chat-one", token=encoded(request)).status_code == 200
    answer = ask_guarded("chat-one", token=encoded(request.replace(signed, altered)))
    assert (answer.status_code, answer.json()["Message"]) == (403, INVALID)


def test_role_signs_with_its_session_token(guarded: LocalCloud, ask_guarded: Ask) -> None:
    iam, sts = boto_client(guarded, "iam"), boto_client(guarded, "sts")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "000000000000"}}
    role = iam.create_role(RoleName="ChatCaller", AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    iam.put_role_policy(
        RoleName="ChatCaller",
        PolicyName="own",
        PolicyDocument=policy(TOKEN, invoking(ENDPOINT, COMPONENTS)),
    )
    given = sts.assume_role(RoleArn=role, RoleSessionName="chat")["Credentials"]
    key, secret, session = given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    assert ask_guarded("chat-one", token=bearer_token(key, secret, session)).json()["adapter"] == "1"
    for keys in ((key, secret), (key, secret, "another")):
        answer = ask_guarded("chat-one", token=bearer_token(*keys))
        assert (answer.status_code, answer.json()["Message"]) == (403, INVALID)
