"""Limits the size of request bodies while they are read, since ministack holds each body in memory."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from local_sagemaker.http_guards.request_guard import Receive, Scope, Send, send_error

# [T, Lambda's own error message] The largest request of a service other than S3 is UpdateFunctionCode with
# 70,167,211 bytes.
REQUEST_BYTES = 70_167_211
# [V PutObject] S3 takes 5 GiB in one request; ministack would need twice that in memory.
OBJECT_BYTES = 2 * 1024**3


class BodyLimit:
    """An ASGI application that answers 413 to a request whose body is above a limit.

    limit returns the largest body of a request in bytes, by the request's scope.
    """

    def __init__(self, application: Any, limit: Callable[[Scope], int]):
        self._application = application
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body by its declared length, or as soon as more bytes than the limit have arrived."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        limit = self._limit(scope)
        if _declared_length(scope) > limit:
            await _refuse(send, limit)
            return
        body = _LimitedBody(limit, receive, send)
        try:
            await self._application(scope, body.receive, body.send)
        except Exception:
            if not body.too_large:
                raise
        if body.too_large:
            await _refuse(send, limit)


class _LimitedBody:
    """Counts the bytes of one request, and disconnects the application above the limit."""

    def __init__(self, limit: int, receive: Receive, send: Send):
        self._limit = limit
        self._receive = receive
        self._send = send
        self._received = 0

    @property
    def too_large(self) -> bool:
        return self._received > self._limit

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self.too_large:
                # To the application the client is gone, so it drops the body.
                return {"type": "http.disconnect"}
        return message

    async def send(self, message: dict[str, Any]) -> None:
        if not self.too_large:
            await self._send(message)


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
