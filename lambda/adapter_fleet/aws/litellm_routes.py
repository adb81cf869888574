"""A callback of LiteLLM's proxy: each request goes to the component that answers for its adapter.

The proxy's configuration names `follows`, the fleet's table in ROUTES_TABLE, and in each entry's `model_info`
the adapter. Each caller stays on its side of a release: the user whom a request names, or else the user or
the team of its key.
"""

import asyncio
import os
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from adapter_fleet.aws.adapter_routes import AdapterRoutes

_CALLERS = ("user_api_key_end_user_id", "user_api_key_user_id", "user_api_key_team_id", "user_api_key_hash")


class FollowsRoutes(CustomLogger):  # type: ignore[misc]
    """Sends requests to the component that answers."""

    def __init__(self, table: str) -> None:
        super().__init__()
        self._routes = AdapterRoutes(table)

    async def async_pre_call_deployment_hook(
        self, kwargs: dict[str, Any], _call_type: object
    ) -> dict[str, Any]:
        """Look up the component of a request, beside the loop, as the table may be slow."""
        # The router writes this over what a caller sends. It does not write over `model_id`.
        metadata = kwargs.get("metadata") or {}
        name = (metadata.get("model_info") or {}).get("adapter")
        if name is None:
            return kwargs
        known = (kwargs.get("user"), *(metadata.get(key) for key in _CALLERS))
        caller = next((str(one) for one in known if one), None)
        kwargs["model_id"] = await asyncio.to_thread(self._routes.component, name, caller)
        # A configured address, as of the embedded cloud, is that of whole answers.
        url = kwargs.get("sagemaker_base_url") or ""
        if kwargs.get("stream") and url.endswith("/invocations"):
            kwargs["sagemaker_base_url"] = f"{url}-response-stream"
        return kwargs


follows = FollowsRoutes(os.environ["ROUTES_TABLE"])
