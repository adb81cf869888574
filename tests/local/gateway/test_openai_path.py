"""The OpenAI path: who answers, what is passed on, and what is refused. `test_iam.py` has who is refused."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from local_sagemaker.server import LocalCloud
from tests.local.conftest import ChangeSettings, boto_client
from tests.local.credentials import bearer_token
from tests.local.stacks import Bucket, Stack, serving, settled

Ask = Callable[..., httpx.Response]


def path(component: str | None, *, endpoint: str = "Chat", rest: str = "/chat/completions") -> str:
    below = "" if component is None else f"/inference-components/{component}"
    return f"/endpoints/{endpoint}{below}/openai/v1{rest}"


@pytest.fixture(scope="module")
def deployed(cloud: LocalCloud, bucket: Bucket) -> Iterator[Stack]:
    """The endpoint "Chat" with the components chat-base, chat-one, chat-two and chat-three."""
    stack = Stack(boto_client(cloud, "cloudformation"), "chat")
    adapters = {name: bucket.adapter(number) for name, number in (("one", "1"), ("two", "2"), ("three", "3"))}
    resources = serving(stack.name, bucket, adapters)
    resources["Endpoint"]["Properties"]["EndpointName"] = "Chat"
    assert stack.create(resources) == "CREATE_COMPLETE"
    yield stack
    stack.delete()


@pytest.fixture
def ask(cloud: LocalCloud, deployed: Stack) -> Iterator[Ask]:
    """Sends a chat to a component, with the cloud's own keys unless a token is given."""
    with httpx.Client(base_url=cloud.url, timeout=60) as client:

        def ask(
            component: str | None, body: object = None, *, token: str | None = None, **options: Any
        ) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token or bearer_token()}"} | options.pop("headers", {})
            return client.post(path(component, **options), headers=headers, json=body or {})

        yield ask


def test_chat_reaches_the_containers_own_path_with_the_adapter_of_the_component(ask: Ask) -> None:
    said = ask("chat-one", {"model": "chat-one", "messages": []}).json()
    assert (said["adapter"], said["body"]) == ("1", {"model": "chat-one", "messages": []})
    assert ask("chat-base", {"model": ""}).json()["adapter"] is None


@pytest.mark.parametrize(("openai_adapter", "of_two"), [("component", "1"), ("model", "2")])
def test_setting_says_whether_the_component_or_the_model_chooses_the_adapter(
    ask: Ask, settings: ChangeSettings, openai_adapter: str, of_two: str
) -> None:
    settings(openai_adapter=openai_adapter)
    assert ask("chat-one", {"model": "chat-one"}).json()["adapter"] == "1"
    assert ask("chat-one", {"model": "chat-two"}).json()["adapter"] == of_two


def test_components_name_is_the_model_after_an_update_as_well(
    cloud: LocalCloud, bucket: Bucket, ask: Ask, settings: ChangeSettings
) -> None:
    settings(openai_adapter="model", adapter_update="gapless")
    sagemaker = boto_client(cloud, "sagemaker")
    sagemaker.update_inference_component(
        InferenceComponentName="chat-three",
        Specification={"Container": {"ArtifactUrl": bucket.adapter("new")}},
    )
    settled(sagemaker, "chat-three")
    assert ask("chat-three", {"model": "chat-three"}).json()["adapter"] == "new"


def test_stream_that_the_container_breaks_off_is_broken_off(ask: Ask) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        ask("chat-one", {"break": True, "parts": ["data: 1\n\n"]})


NAMED_TWICE = {"X-Amzn-SageMaker-Inference-Component": "chat-one"}
NO_TOKEN = {"Authorization": "Bearer sk"}


@pytest.mark.parametrize(
    ("component", "options", "status", "code", "message"),
    [
        (None, {}, 400, "ValidationError", "Inference Component Name header is required"),
        ("nobody", {}, 400, "ValidationError", "Inference component nobody of endpoint Chat not found."),
        ("chat-one", {"rest": "/completions"}, 404, "UnknownOperationException", "POST /endpoints/Chat/"),
        ("chat-one", {"headers": NAMED_TWICE}, 400, "ValidationError", "Inference Component Name header is"),
        ("chat-one", {"headers": NO_TOKEN}, 403, "AccessDeniedException", "Invalid API Key"),
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


def test_errors_can_be_those_of_openai(ask: Ask, settings: ChangeSettings) -> None:
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
