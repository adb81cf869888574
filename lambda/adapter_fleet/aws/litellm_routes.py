"""A callback of LiteLLM's proxy: each request goes to the component that answers for its adapter.

The proxy's configuration names `follows`, the fleet's table in ROUTES_TABLE, and in each entry's `model_info`
the `adapter`, or a `component` that no route names. Each caller stays on its side of a release: the user whom
a request names, or else its key's user, team or hash.

LiteLLM merges a caller's body over an entry's settings, so `_MAY_PASS` lists what a caller may set. A request
reaches an entry only if its path is in `_PATHS` and its body was filtered. Checked with LiteLLM 1.108.7.
"""

import asyncio
import os
import weakref
from typing import Any

from fastapi import HTTPException
from litellm.integrations.custom_logger import CustomLogger

from adapter_fleet.aws.adapter_routes import AdapterRoutes

_CALLERS = ("user_api_key_end_user_id", "user_api_key_user_id", "user_api_key_team_id", "user_api_key_hash")

_PATHS = ("acompletion", "atext_completion", "aresponses", "anthropic_messages")
"""What LiteLLM calls /chat/completions, /completions, /responses and /messages, however they are spelled."""
_PARAMETERS = """
    model stream stream_options user
    messages prompt suffix echo best_of input instructions system
    max_tokens max_completion_tokens max_output_tokens min_tokens
    n stop stop_sequences stop_token_ids ignore_eos temperature top_p top_k min_p seed
    presence_penalty frequency_penalty repetition_penalty logit_bias
    logprobs top_logprobs reasoning reasoning_effort thinking chat_template_kwargs
    tools tool_choice parallel_tool_calls functions function_call response_format text structured_outputs
"""
_MAY_PASS = frozenset(_PARAMETERS.split())
"""What a caller may set: prompts, sampling, tools and the form of an answer. None names where it goes."""
_OF_THE_PROXY = frozenset(
    {
        "litellm_call_id",
        "litellm_logging_obj",
        "litellm_metadata",
        "proxy_server_request",
        "secret_fields",
        "_litellm_strip_stream_usage",
    }
)
"""What the proxy itself adds to a body before the callback, in place of what a caller sends there."""


class FollowsRoutes(CustomLogger):  # type: ignore[misc]
    """Sends requests to the component that answers."""

    def __init__(self, table: str) -> None:
        super().__init__()
        self._routes = AdapterRoutes(table)
        self._filtered: weakref.WeakSet[Any] = weakref.WeakSet()
        """The log of each filtered request: an object, which no body can forge."""

    async def async_pre_call_hook(self, data: dict[str, Any], call_type: str, **_: object) -> dict[str, Any]:
        """Keep what a caller may set. Requests on other paths are refused once they have an entry."""
        if call_type not in _PATHS:
            return data
        # LiteLLM checks the key for the body's `model`, and then asks the query's or the path's.
        if not data.get("model") or data["model"] != data["proxy_server_request"]["body"].get("model"):
            raise HTTPException(400, "'model' should be in the body, and no other in the path or the query")
        # Where the proxy writes `litellm_metadata`, `metadata` is the caller's.
        kept = _OF_THE_PROXY if "litellm_metadata" in data else _OF_THE_PROXY | {"metadata"}
        for key in data.keys() - _MAY_PASS - kept:
            del data[key]
        if isinstance(tools := data.get("tools"), list):
            # LiteLLM itself runs tools of other types: an `advisor` asks another model.
            data["tools"] = [one for one in tools if _is_the_callers(one)]
        self._filtered.add(data["litellm_logging_obj"])
        return data

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], _call_type: object
    ) -> dict[str, Any]:
        """Look up the component of a request, beside the loop, as the table may be slow."""
        # On a path that is not filtered, the caller may have named a provider.
        named = (kwargs.get("model"), kwargs.get("custom_llm_provider"))
        if not any(str(one).startswith("sagemaker") for one in named):
            return kwargs
        if kwargs.get("litellm_logging_obj") not in self._filtered:
            raise HTTPException(403, "the gateway does not serve this path")
        # The router writes this over what a caller sends.
        info = kwargs.get("model_info") or {}
        component = info.get("component")
        if name := info.get("adapter"):
            try:
                component = await asyncio.to_thread(self._routes.component, name, _caller(kwargs))
            except LookupError:
                component = None  # LiteLLM would try again
        if not component:
            raise HTTPException(404, "no component answers for this model")
        kwargs["model_id"] = component
        # A configured address, as of the embedded cloud, is that of whole answers.
        url = kwargs.get("sagemaker_base_url") or ""
        if kwargs.get("stream") and url.endswith("/invocations"):
            kwargs["sagemaker_base_url"] = f"{url}-response-stream"
        return kwargs


def _is_the_callers(tool: object) -> bool:
    return isinstance(tool, dict) and tool.get("type", "function") in ("function", "custom")


def _caller(kwargs: dict[str, Any]) -> str | None:
    metadata = {**(kwargs.get("metadata") or {}), **(kwargs.get("litellm_metadata") or {})}
    known = (kwargs.get("user"), *(metadata.get(key) for key in _CALLERS))
    return next((str(one) for one in known if one), None)


follows = FollowsRoutes(os.environ["ROUTES_TABLE"])
