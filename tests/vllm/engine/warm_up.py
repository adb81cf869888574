"""Holds back the answer to pings until the engine has generated.

vLLM answers pings before its first request, which may take seconds, and ten more with log probabilities if
they are compiled [tried, vLLM 0.32.0 on a CPU].
"""

import asyncio
import json
import logging
import os
import signal
import urllib.request
from http import HTTPStatus
from typing import Any

from local_sagemaker.http_guards import Receive, Scope, Send

_log = logging.getLogger("vllm.local_sagemaker")

_REQUESTS: tuple[dict[str, Any], ...] = (
    {"prompt": "Hello", "max_tokens": 2, "temperature": 0},
    {"prompt": "Hello", "max_tokens": 2, "temperature": 0, "logprobs": 1},
)
_SECONDS = 300.0


class WarmUp:
    """An ASGI application that answers pings with 503 until requests of its own have succeeded.

    If one fails, the process ends.
    """

    def __init__(self, app: Any):
        self._app = app
        self._requests: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer that the engine is not warm yet."""
        if scope["type"] == "http" and scope["path"] == "/ping":
            if self._requests is None:
                self._requests = asyncio.create_task(self._warm(scope["server"][1]))
            if not self._requests.done() or self._requests.exception() is not None:
                await _answer_not_warm(send)
                return
        await self._app(scope, receive, send)

    async def _warm(self, port: int) -> None:
        try:
            for body in _REQUESTS:
                await asyncio.to_thread(_complete, port, body)
        except Exception:
            _log.exception("the engine does not generate")
            os.kill(os.getpid(), signal.SIGTERM)
            raise


def _complete(port: int, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_SECONDS) as answer:
        answer.read()


async def _answer_not_warm(send: Send) -> None:
    headers = [(b"content-length", b"0")]
    status = int(HTTPStatus.SERVICE_UNAVAILABLE)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
