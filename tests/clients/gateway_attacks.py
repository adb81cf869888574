"""What a tenant may send to reach another component through LiteLLM's proxy: each is tried on every path."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ENDPOINT = "Llm-1A2B"
FOREIGN = "comp-globex"
COMPONENT = "X-Amzn-SageMaker-Inference-Component"
_HEADER = {COMPONENT: FOREIGN}
_DROP = {"additional_drop_params": ["model_id"]}
_ALIAS = {"acme": "globex"}
_ELSEWHERE = "http://127.0.0.1:{port}/globex"
"""The address of the backend that records, with another path: whatever arrives there was sent astray."""


def _chat(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, **more}


PATHS: Mapping[str, Mapping[str, Any]] = {
    "/v1/chat/completions": _chat(),
    "/v1/completions": {"prompt": "hi"},
    "/v1/responses": {"input": "hi"},
    "/v1/messages": _chat(),
    "/engines/acme/chat/completions": _chat(),
    "/openai/deployments/acme/chat/completions": _chat(),
}
CLOSED: Mapping[str, Mapping[str, Any]] = {
    "/v1/embeddings": {"input": "hi"},
    "/v1/responses/compact": {"input": "hi"},
    "/v1beta/models/acme:generateContent": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    "/v1beta/models/acme:streamGenerateContent": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    "/v1beta/interactions": {"input": "hi"},
    "/v1/rerank": {"query": "hi", "documents": ["hi"]},
    "/v1/moderations": {"input": "hi"},
    "/v1/images/generations": {"prompt": "hi"},
    "/v1/audio/speech": {"input": "hi", "voice": "alloy"},
    "/v1/ocr": {"document": {"type": "document_url", "document_url": "http://127.0.0.1/"}},
    "/vllm/v1/chat/completions": _chat(),
    "/prompts/test": {"dotprompt_content": "---\nmodel: globex\n---\n\nUser: hi"},
    "/health/test_connection": {
        "litellm_params": {"model": f"sagemaker_chat/{ENDPOINT}", "model_id": FOREIGN}
    },
    "/rag/query": _chat(retrieval_config={"vector_store_id": "globex", "custom_llm_provider": "openai"}),
    "/health?model=acme": {},
}
"""Paths of LiteLLM that lead to an entry, and that the gateway does not serve."""
FOREIGN_PATHS = (
    "/v1/chat/completions?model=globex",
    "/engines/globex/chat/completions",
    "/openai/deployments/globex/chat/completions",
)
"""Paths that name another adapter than the body: LiteLLM checks the one, and asks the other."""


@dataclass(frozen=True)
class Attack:
    """A body, beside what the path needs, with the headers and the query of a request."""

    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""


def _named(header: str) -> dict[str, Attack]:
    """Return the ways to send a header on: as a parameter, and in the request itself."""
    return {
        f"extra_headers {header}": Attack({**_DROP, "extra_headers": {header: FOREIGN}}),
        f"headers {header}": Attack({**_DROP, "headers": {header: FOREIGN}}),
        f"header {header}": Attack(headers={header: FOREIGN}),
    }


def _nested(key: str, value: Any) -> dict[str, Attack]:
    """Return the ways to send a parameter: beside the others, in what LiteLLM unpacks, in another case."""
    return {
        key: Attack({key: value}),
        f"extra_body.{key}": Attack({"extra_body": {key: value}}),
        f"{key}, upper case": Attack({key.upper(): value}),
    }


_INFO = {"adapter": "globex", "component": FOREIGN, "id": "globex"}
_PARAMETERS: Mapping[str, Any] = {
    "model_id": FOREIGN,
    "hf_model_name": FOREIGN,
    "adapters": ["globex"],
    "model_info": _INFO,
    "litellm_params": {"model_id": FOREIGN, "extra_headers": _HEADER},
    "optional_params": {"model_id": FOREIGN},
    "sagemaker_base_url": _ELSEWHERE,
    "api_base": _ELSEWHERE,
    "base_url": _ELSEWHERE,
    "aws_region_name": "globex-1",
    "aws_access_key_id": "AKIAGLOBEX",
    "aws_profile_name": "globex",
    "lora_request": {"lora_name": "globex"},
}
_ALONE: Mapping[str, Any] = {
    "api_key": "globex",
    "custom_llm_provider": "openai",
    "allowed_openai_params": ["extra_headers", "model_id"],
    "drop_params": True,
    "user_config": {
        "model_list": [{"model_name": "acme", "litellm_params": {"model": "sagemaker_chat/globex"}}]
    },
    "model_list": [{"model_name": "acme", "litellm_params": {"model": "sagemaker_chat/globex"}}],
    "router_settings_override": {
        "fallbacks": [{"acme": ["globex"]}],
        "model_group_alias": {"acme": "globex"},
    },
    "fallbacks": [{"model": "acme", "extra_headers": _HEADER, **_DROP}],
    "context_window_fallback_dict": {"Llm-1A2B": "globex"},
    "specific_deployment": True,
    "litellm_credential_name": "globex",
    "litellm_logging_obj": {"model": "globex"},
    "proxy_server_request": {"body": {"model": "globex"}, "headers": _HEADER},
    "secret_fields": {"raw_headers": _HEADER},
    "provider_specific_header": {"custom_llm_provider": "sagemaker_chat", "extra_headers": _HEADER},
    "default_headers": _HEADER,
    "custom_prompt_dict": {"Llm-1A2B": {"model": "globex"}},
    "model_file_id_mapping": {"hi": {"globex": FOREIGN}},
    "previous_response_id": "resp_globex",
    "prompt_id": "globex",
    "weights": {"globex": 1},
    "silent_model": "globex",
    "cache": {"namespace": "globex"},
    "mock_response": "globex",
    "guardrails": ["globex"],
    "rust": True,
    "num_retries": "globex",
    "tags": ["globex"],
}
_FUNCTION = {"type": "function", "function": {"name": "f"}}
_ADVISOR = {"type": "advisor_20260301", "name": "advisor", "model": "globex"}
ATTACKS: Mapping[str, Attack] = {
    **{name: one for key, value in _PARAMETERS.items() for name, one in _nested(key, value).items()},
    **{key: Attack({key: value}) for key, value in _ALONE.items()},
    **_named(COMPONENT),
    **_named(COMPONENT.lower()),
    **_named("X-Amzn-SageMaker-Target-Variant"),
    **_named("x-amzn-sagemaker-target-model"),
    **_named("X-Amzn-SageMaker-Target-Container-Hostname"),
    **_named("X-Amzn-SageMaker-Session-Id"),
    **_named("X-Amzn-SageMaker-Custom-Attributes"),
    **_named("Host"),
    "drop, dotted": Attack({"additional_drop_params": ["model_id", "$.model_id"], "extra_headers": _HEADER}),
    "drop, the address": Attack({"additional_drop_params": ["sagemaker_base_url", "aws_region_name"]}),
    "drop in extra_body": Attack({"extra_body": {**_DROP, "extra_headers": _HEADER}}),
    "model in extra_body": Attack({"extra_body": {"model": FOREIGN}}),
    "metadata and model_id": Attack({"metadata": {"model_info": _INFO}, "model_id": FOREIGN}),
    "litellm_metadata and model_id": Attack({"litellm_metadata": {"model_info": _INFO}, "model_id": FOREIGN}),
    "drop in metadata": Attack({"metadata": {**_DROP, "headers": _HEADER, "model_info": _INFO}}),
    "drop in litellm_metadata": Attack({"litellm_metadata": {**_DROP, "model_info": _INFO}}),
    "drop in metadata, as a string": Attack({"metadata": json.dumps({"model_info": _INFO, **_DROP})}),
    "forged key": Attack({"metadata": {"user_api_key_team_id": "globex", "model_group": "globex"}}),
    "streamed": Attack({**_DROP, "extra_headers": _HEADER, "stream": True}),
    "model, list": Attack({"model": ["acme", "globex"]}),
    "model, comma": Attack({"model": "acme,globex"}),
    "model, comma, fastest": Attack({"model": "acme,globex", "fastest_response": True}),
    "model, foreign": Attack({"model": "globex"}),
    "model, provider": Attack({"model": "sagemaker_chat/Llm-1A2B"}),
    "model, alias": Attack({"model_group_alias": _ALIAS}),
    "model in the query": Attack(query="?model=globex&model_id=comp-globex&api-version=globex"),
    "advisor": Attack({"tools": [_ADVISOR]}),
    "advisor beside a function": Attack({"tools": [_FUNCTION, _ADVISOR]}),
    "mcp": Attack(
        {"tools": [{"type": "mcp", "server_label": "globex", "server_url": "litellm_proxy/mcp/globex"}]}
    ),
    "file_search": Attack({"tools": [{"type": "file_search", "vector_store_ids": ["globex"]}]}),
    "headers of LiteLLM": Attack(
        headers={"x-litellm-tags": "globex", "x-litellm-model-id": FOREIGN, "x-litellm-call-id": "globex"}
    ),
    "forwarded headers": Attack(headers={"x-pass-" + COMPONENT: FOREIGN, "anthropic-beta": "globex"}),
}
