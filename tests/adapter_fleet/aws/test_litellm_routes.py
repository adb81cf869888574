"""What LiteLLM's callback keeps, refuses and sends where. `make qa SUITE=clients` runs the real proxy."""

import asyncio
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

URL = "http://localhost/endpoints/llm/invocations"
BASE, ACME = {"model_info": {"component": "base"}}, {"model_info": {"adapter": "acme"}}
HASHES = {"metadata": {"user_api_key_hash": "a"}, "litellm_metadata": {"user_api_key_hash": "b"}}


class StandInError(Exception):
    """For FastAPI's exception, LiteLLM's class, and the routes of a table."""

    made_as: tuple[Any, ...] = ("never",)

    def __init__(self, *arguments: Any) -> None:
        self.made_as = arguments

    def component(self, adapter: str, caller: str | None) -> str:
        if adapter == "gone":
            raise LookupError
        return f"{adapter} for {caller}"


@pytest.fixture
def follows(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ROUTES_TABLE", "registry")
    monkeypatch.setattr("adapter_fleet.aws.adapter_routes.AdapterRoutes", StandInError)
    logger = SimpleNamespace(CustomLogger=StandInError)
    monkeypatch.setitem(sys.modules, "fastapi", SimpleNamespace(HTTPException=StandInError))
    monkeypatch.setitem(sys.modules, "litellm.integrations.custom_logger", logger)
    with patch.dict(sys.modules):
        return import_module("adapter_fleet.aws.litellm_routes").follows


def kept(
    follows: Any, path: str = "acompletion", model: str = "acme", said: str = "acme", **more: Any
) -> Any:
    """Return what the callback keeps of a request."""
    body = {"model": model, "proxy_server_request": {"body": {"model": said}}, "litellm_logging_obj": object}
    return asyncio.run(follows.async_pre_call_hook(data={**body, **more}, call_type=path, cache=None))


def sent(follows: Any, **request: Any) -> Any:
    """Return the component and the address of a request, or the status of a refusal."""
    request = {"model": "sagemaker_chat/llm", "sagemaker_base_url": URL, **request}
    try:
        sent = asyncio.run(follows.async_pre_call_deployment_hook(request, None))
    except StandInError as refusal:
        return refusal.args[0]
    return sent.get("model_id"), sent["sagemaker_base_url"]


def test_request_keeps_what_its_caller_may_set_and_the_proxy_adds(follows: Any) -> None:
    plain = kept(follows).keys()
    metadata: dict[str, Any] = {"metadata": {}}
    foreign: dict[str, Any] = {"model_id": "globex", "api_base": URL, "fallbacks": ["globex"]}
    assert kept(follows, stream=True, tools="none", **metadata, **foreign).keys() - plain == {
        "stream", "tools", "metadata",
    }  # fmt: skip
    assert kept(follows, **metadata, litellm_metadata={}).keys() - plain == {"litellm_metadata"}
    tools = [{"type": "function"}, {"type": "custom"}, {}, {"type": "advisor"}, "advisor"]
    assert kept(follows, tools=tools)["tools"] == tools[:3]


@pytest.mark.parametrize(("model", "said"), [("", ""), ("globex", "acme")])
def test_model_that_the_body_does_not_name_is_refused(follows: Any, model: str, said: str) -> None:
    with pytest.raises(StandInError, match=r"400, .'model' should be in the body"):
        kept(follows, model=model, said=said)


def test_request_that_is_not_filtered_reaches_no_component(follows: Any) -> None:
    assert follows.made_as == ()
    request = {**kept(follows, "aembedding", api_base=URL), **BASE}
    assert request["api_base"] == URL
    assert sent(follows, **request, custom_llm_provider="sagemaker") == 403
    assert sent(follows, **{**request, "model": "sagemaker/llm"}) == 403
    assert sent(follows, **request) == (None, URL)


@pytest.mark.parametrize(
    ("request_", "outcome"),
    [
        (BASE, ("base", URL)),
        ({"model_info": None}, 404),
        ({"model_info": {"adapter": "gone", "component": "base"}}, 404),
        (ACME, ("acme for None", URL)),
        ({**ACME, "user": 7, **HASHES}, ("acme for 7", URL)),
        ({**ACME, **HASHES}, ("acme for b", URL)),
        ({**ACME, "metadata": {"user_api_key_hash": "a", "user_api_key_team_id": "c"}}, ("acme for c", URL)),
        ({**BASE, "stream": True}, ("base", f"{URL}-response-stream")),
        ({**BASE, "stream": True, "sagemaker_base_url": f"{URL}/own"}, ("base", f"{URL}/own")),
        ({**BASE, "stream": True, "sagemaker_base_url": None}, ("base", None)),
    ],
)
def test_entry_says_which_component_answers_and_the_caller_on_which_side(
    follows: Any, request_: dict[str, Any], outcome: object
) -> None:
    log = kept(follows)["litellm_logging_obj"]
    assert sent(follows, litellm_logging_obj=log, **request_) == outcome
