"""The longest body of a request: one in chunks has no length that the server could keep to."""

import re
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from local_sagemaker.http_guards import Receive, Scope, Send

# [V PutObject] S3 takes 5 GiB; ministack needs twice a body in memory.
BODY_BYTES = 2 * 1024**3
# [I] Above what any other API takes, of which Lambda's 50 MiB of code are the most.
UNDECLARED_BYTES = 64 * 1024**2


class BodyGuard:
    """An ASGI application that answers 413 to a body above its limit."""

    def __init__(self, application: Any):
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with a body that ends at the limit."""
        limit = body_limit(Headers(scope=scope)) if scope["type"] == "http" else 0
        await RequestBodyLimitMiddleware(self._application, limit)(scope, receive, send)


def body_limit(headers: Headers) -> int:
    """The longest body of a request, in bytes."""
    if "content-length" in headers:
        return BODY_BYTES
    # [V PutObject] S3 wants the length of an object. In chunks, the SDKs send it without the chunks' frames.
    declared = headers.get("x-amz-decoded-content-length", "")
    whole = int(declared) if re.fullmatch("[0-9]{1,12}", declared) else 0
    return min(BODY_BYTES, 2 * whole + UNDECLARED_BYTES)
