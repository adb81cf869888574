"""The OpenAI path: who answers, what is passed on, and who is refused."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from local_sagemaker.runtime.invocations import LONGEST_BODY
from local_sagemaker.server import LocalCloud
from tests.local.bearer import bearer_token, encoded, signed_request
from tests.local.conftest import boto_client
from tests.local.iam_users import policy
from tests.local.stacks import Bucket, Stack, serving

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
ENDPOINT = f"{ARN}:endpoint/chat"
COMPONENTS = f"{ARN}:inference-component/*"
TOKEN = {"Effect": "Allow", "Action": "sagemaker:CallWithBearerToken", "Resource": "*"}
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
        ("component", "", "1"),
        ("component", "chat-two", "1"),
        ("model", "chat-one", "1"),
        ("model", "", None),
        ("model", "chat-two", "2"),
    ],
)
def test_setting_says_whether_the_component_or_the_model_chooses_the_adapter(
    ask: Ask, settings: Callable[..., Any], openai_adapter: str, model: str, adapter: str | None
) -> None:
    settings(openai_adapter=openai_adapter)
    assert ask("chat-one", {"model": model}).json()["adapter"] == adapter


@pytest.mark.parametrize("openai_adapter", ["component", "model"])
@pytest.mark.parametrize("adapter_update", ["gapless", "gap"])
def test_components_name_is_the_model_after_an_update_as_well(
    cloud: LocalCloud, ask: Ask, settings: Callable[..., Any], openai_adapter: str, adapter_update: str
) -> None:
    settings(openai_adapter=openai_adapter, adapter_update=adapter_update)
    sagemaker, bucket = boto_client(cloud, "sagemaker"), Bucket(boto_client(cloud, "s3"))
    text = f"{openai_adapter}-{adapter_update}"
    sagemaker.update_inference_component(
        InferenceComponentName="chat-two", Specification={"Container": {"ArtifactUrl": bucket.adapter(text)}}
    )
    while (
        sagemaker.describe_inference_component(InferenceComponentName="chat-two")["InferenceComponentStatus"]
        == "Updating"
    ):
        time.sleep(0.02)
    assert ask("chat-two", {"model": "chat-two"}).json()["adapter"] == text


# --- what is passed on


def test_answer_is_the_containers_as_it_is(ask: Ask) -> None:
    answer = ask("chat-one", headers={"X-Amzn-SageMaker-Custom-Attributes": "trace=1"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert answer.headers["x-amzn-sagemaker-custom-attributes"] == "trace=1"


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


def test_chat_counts_as_an_invocation_and_faults_of_invocations_hit_it(ask: Ask, cloud: LocalCloud) -> None:
    cloud.admin.reset_calls()
    cloud.admin.fail_calls("InvokeEndpoint", code="ServiceUnavailable", status=503)
    assert [ask("chat-one").status_code for _ in range(2)] == [503, 200]
    assert cloud.admin.calls()["InvokeEndpoint"] == 2


# --- what is refused


@pytest.mark.parametrize(
    ("component", "options", "status", "code", "message"),
    [
        (None, {}, 400, "ValidationError", "Inference Component Name header is required"),
        ("nobody", {}, 400, "ValidationError", "Inference component nobody of endpoint Chat not found."),
        (
            "chat-one",
            {"endpoint": "nowhere"},
            400,
            "ValidationError",
            "Endpoint nowhere of account 000000000000",
        ),
        ("chat-one", {"rest": "/completions"}, 404, "UnknownOperationException", "POST /endpoints/Chat/"),
        ("chat-one", {"rest": "/models"}, 404, "UnknownOperationException", "POST /endpoints/Chat/"),
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


def test_chat_is_refused_above_the_limit_of_invocations(ask: Ask) -> None:
    answer = ask("chat-one", {"text": "x" * LONGEST_BODY})
    assert (answer.status_code, answer.json()["Message"]) == (
        413,
        "HTTP content length exceeded 6291456 bytes.",
    )


def test_only_post_is_served(cloud: LocalCloud, deployed: Stack) -> None:
    assert httpx.get(f"{cloud.url}{path('chat-one')}").status_code == 404


@pytest.mark.parametrize(("status", "side"), [(400, "client"), (503, "server")])
def test_refusal_of_the_container_is_a_model_error(ask: Ask, status: int, side: str) -> None:
    answer = ask("chat-one", {"status": status})
    assert answer.status_code == 424
    assert answer.json()["__type"] == "ModelError"
    assert answer.json()["OriginalStatusCode"] == status
    assert json.loads(answer.json()["OriginalMessage"]) == {"message": "as you wish"}
    assert answer.json()["Message"].startswith(f"Received {side} error ({status}) from chat-one with message")


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
    allowed = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
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

    def make(*statements: dict[str, Any]) -> tuple[str, ...]:
        iam = boto_client(guarded, "iam")
        name = f"user-{time.monotonic_ns()}"
        iam.create_user(UserName=name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    return make


def invoking(*resources: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": list(resources)}


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


def test_stream_needs_no_further_permission(ask_guarded: Ask, caller: Caller) -> None:
    keys = caller(TOKEN, invoking(ENDPOINT, COMPONENTS))
    answer = ask_guarded("chat-one", {"parts": ["data: 1\n\n"]}, token=bearer_token(*keys))
    assert (answer.status_code, answer.text) == (200, "data: 1\n\n")


def test_token_names_no_endpoint_and_its_signer_s_permissions_decide_where_it_goes(
    ask_guarded: Ask, caller: Caller
) -> None:
    keys = caller(TOKEN, invoking(f"{ARN}:endpoint/other", COMPONENTS))
    answer = ask_guarded("chat-one", token=bearer_token(*keys))
    assert f"sagemaker:InvokeEndpoint on resource: {ENDPOINT}" in answer.json()["Message"]
    keys = caller(TOKEN, invoking(ENDPOINT, f"{ARN}:inference-component/chat-one"))
    token = bearer_token(*keys)
    assert ask_guarded("chat-one", token=token).status_code == 200
    assert "inference-component/chat-two" in ask_guarded("chat-two", token=token).json()["Message"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds_ago": 901}, EXPIRED),
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
