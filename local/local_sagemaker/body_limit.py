"""Bounds the bodies of requests while they are read: ministack holds each of them in memory."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from local_sagemaker.request_guard import Receive, Scope, Send, send_error

# [T, Lambda's own error message] The largest request that a service other than S3 takes is that of
# UpdateFunctionCode, of 70,167,211 bytes.
REQUEST_BYTES = 70_167_211
# [V PutObject] S3 takes 5 GiB in one request, which would be twice that in this machine's memory.
OBJECT_BYTES = 2 * 1024**3


class BodyLimit:
    """An ASGI application that passes bodies on up to a limit, and answers 413 above it.

    limit gives the bytes that the request of a scope may have.
    """

    def __init__(self, application: Any, limit: Callable[[Scope], int]):
        self._application = application
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body by its declared length, or as soon as more than the limit has arrived."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        limit = self._limit(scope)
        if _declared_length(scope) > limit:
            await _refuse(send, limit)
            return
        received, too_large = 0, False

        async def receive_within_limit() -> dict[str, Any]:
            nonlocal received, too_large
            message: dict[str, Any] = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    too_large = True
                    # The application has nobody to answer, and drops what it has read.
                    return {"type": "http.disconnect"}
            return message

        async def send_unless_too_large(message: dict[str, Any]) -> None:
            if not too_large:
                await send(message)

        try:
            await self._application(scope, receive_within_limit, send_unless_too_large)
        except Exception:
            if not too_large:
                raise
        if too_large:
            await _refuse(send, limit)


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name.lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return 0


async def _refuse(send: Send, limit: int) -> None:
    message = f"the body of this request should have at most {limit} bytes"
    if limit == OBJECT_BYTES:
        message += ": upload the object in parts, as 'aws s3 cp' does"
    await send_error(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", message)
