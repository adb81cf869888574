"""What LiteLLM's callback keeps, refuses and sends where. `make qa SUITE=clients` runs the real proxy."""

import asyncio
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

ADDRESS = "http://localhost/endpoints/llm/invocations"


class StandIn(Exception):
    """For LiteLLM's class, FastAPI's exception, and the routes of a table; it has what it was made with."""

    arguments: tuple[object, ...] | None = None

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def component(self, adapter: str, caller: str | None) -> str:
        if adapter == "gone":
            raise LookupError
        return f"{adapter} for {caller}"


@pytest.fixture
def follows(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ROUTES_TABLE", "registry")
    monkeypatch.setattr("adapter_fleet.aws.adapter_routes.AdapterRoutes", StandIn)
    monkeypatch.setitem(sys.modules, "fastapi", SimpleNamespace(HTTPException=StandIn))
    custom_logger = SimpleNamespace(CustomLogger=StandIn)
    monkeypatch.setitem(sys.modules, "litellm.integrations.custom_logger", custom_logger)
    with patch.dict(sys.modules):
        return import_module("adapter_fleet.aws.litellm_routes").follows


def filtered(follows: Any, call_type: str = "acompletion", **body: object) -> Any:
    """Return what the callback keeps of a request, or the status with which it refuses the request."""
    said = {"body": {"model": "acme"}}
    data = {"model": "acme", "litellm_logging_obj": StandIn(), "proxy_server_request": said, **body}
    try:
        return asyncio.run(follows.async_pre_call_hook(data=data, call_type=call_type, cache=None))
    except StandIn as refusal:
        return refusal.arguments


def sent(follows: Any, **request: object) -> Any:
    """Return the component and the address of a request with these arguments, or the status of a refusal."""
    request = {"model": "sagemaker_chat/llm", "sagemaker_base_url": ADDRESS, **request}
    request.setdefault("litellm_logging_obj", filtered(follows)["litellm_logging_obj"])
    try:
        kept = asyncio.run(follows.async_pre_call_deployment_hook(request, None))
    except StandIn as refusal:
        return (refusal.arguments or ())[0]
    return kept.get("model_id"), kept["sagemaker_base_url"]


def test_callback_is_a_logger_with_the_routes_of_the_table(follows: Any) -> None:
    assert (follows.arguments, follows._routes.arguments) == ((), ("registry",))


def test_request_keeps_what_its_caller_may_set_and_the_proxy_adds(follows: Any) -> None:
    allowed = {"messages": [], "stream": True, "tools": "none", "secret_fields": {}}
    foreign = {"model_id": "p-globex-1", "api_base": "http://elsewhere", "fallbacks": ["globex"]}
    plain = filtered(follows)
    assert filtered(follows, **allowed, **foreign).keys() == {*plain, *allowed}
    of_the_proxy = {"metadata": {}, "litellm_metadata": {}}
    assert filtered(follows, metadata={}).keys() == {*plain, "metadata"}
    assert filtered(follows, **of_the_proxy).keys() == {*plain, "litellm_metadata"}
    tools = [{"type": "function"}, {"type": "custom"}, {}, {"type": "advisor"}, "advisor"]
    assert filtered(follows, tools=tools)["tools"] == tools[:3]


@pytest.mark.parametrize("model", ["", "globex"])
def test_model_is_named_in_the_body_alone(follows: Any, model: str) -> None:
    text = "'model' should be in the body, and no other in the path or the query"
    said = {"body": {"model": ""}} if not model else {"body": {"model": "acme"}}
    assert filtered(follows, model=model, proxy_server_request=said) == (400, text)


def test_request_on_another_path_is_not_filtered_and_reaches_no_endpoint(follows: Any) -> None:
    request = filtered(follows, "aembedding", api_base="http://elsewhere")
    assert request["api_base"] == "http://elsewhere"
    log = request["litellm_logging_obj"]
    assert sent(follows, litellm_logging_obj=log) == 403
    assert sent(follows, litellm_logging_obj=log, model="llm", custom_llm_provider="sagemaker") == 403
    assert sent(follows, litellm_logging_obj=log, model="gpt") == (None, ADDRESS)


@pytest.mark.parametrize(
    ("request_", "caller"),
    [
        ({}, None),
        ({"user": 7, "metadata": {"user_api_key_user_id": "key's"}}, "7"),
        ({"metadata": {"user_api_key_team_id": "team", "user_api_key_hash": "hash"}}, "team"),
        ({"metadata": {"user_api_key_hash": "a"}, "litellm_metadata": {"user_api_key_hash": "b"}}, "b"),
    ],
)
def test_caller_of_a_release_is_the_user_or_whose_key_it_is(
    follows: Any, request_: dict[str, object], caller: str | None
) -> None:
    assert sent(follows, **request_, model_info={"adapter": "acme"}) == (f"acme for {caller}", ADDRESS)


@pytest.mark.parametrize(
    ("info", "outcome"),
    [
        ({"component": "base"}, ("base", ADDRESS)),
        ({"adapter": "gone", "component": "base"}, 404),
        (None, 404),
    ],
)
def test_entry_without_an_adapter_has_a_component(follows: Any, info: object, outcome: object) -> None:
    assert sent(follows, model_info=info) == outcome


@pytest.mark.parametrize(
    ("stream", "url", "asked"),
    [
        (True, ADDRESS, f"{ADDRESS}-response-stream"),
        (True, f"{ADDRESS}-response-stream", f"{ADDRESS}-response-stream"),
        (True, None, None),
        (False, ADDRESS, ADDRESS),
    ],
)
def test_streamed_answer_has_another_address(follows: Any, stream: bool, url: object, asked: object) -> None:
    request = {"model_info": {"component": "base"}, "stream": stream, "sagemaker_base_url": url}
    assert sent(follows, **request) == ("base", asked)
