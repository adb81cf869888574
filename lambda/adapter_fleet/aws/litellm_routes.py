"""A callback of LiteLLM's proxy: each request goes to the component that answers for its adapter.

The proxy's configuration names `follows`, the fleet's table in ROUTES_TABLE, and in each entry's `model_info`
the `adapter`, or a `component` that no route names. Each caller stays on its side of a release: the user whom
a request names, or else its key's user, team or hash.
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
        if not str(kwargs.get("model")).startswith("sagemaker"):
            return kwargs
        # The router writes this over what a caller sends. A caller's own `model_id` would win, and these
        # keys name another adapter in the body.
        info = kwargs.get("model_info") or {}
        for key in ("model_id", "hf_model_name"):
            kwargs.pop(key, None)
        if isinstance(kwargs.get("extra_body"), dict):
            kwargs["extra_body"] = {
                key: value for key, value in kwargs["extra_body"].items() if key != "model"
            }
        component = info.get("component")
        if name := info.get("adapter"):
            component = await asyncio.to_thread(self._routes.component, name, _caller(kwargs))
        if component is not None:
            kwargs["model_id"] = component
        # A configured address, as of the embedded cloud, is that of whole answers.
        url = kwargs.get("sagemaker_base_url") or ""
        if kwargs.get("stream") and url.endswith("/invocations"):
            kwargs["sagemaker_base_url"] = f"{url}-response-stream"
        return kwargs


def _caller(kwargs: dict[str, Any]) -> str | None:
    metadata = {**(kwargs.get("metadata") or {}), **(kwargs.get("litellm_metadata") or {})}
    known = (kwargs.get("user"), *(metadata.get(key) for key in _CALLERS))
    return next((str(one) for one in known if one), None)


follows = FollowsRoutes(os.environ["ROUTES_TABLE"])
