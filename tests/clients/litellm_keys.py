"""Keys of a LiteLLM proxy without a database: which adapters each may ask."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException
from litellm.proxy._types import UserAPIKeyAuth

KEYS: dict[str, dict[str, Any]] = {
    "sk-acme": {"team_id": "acme", "models": ["acme"]},
    "sk-globex": {"team_id": "globex", "models": ["globex"]},
}


async def user_api_key_auth(_request: object, api_key: str) -> UserAPIKeyAuth:
    if api_key not in KEYS:
        raise HTTPException(401, "unknown key")
    return UserAPIKeyAuth(api_key=api_key, **KEYS[api_key])
