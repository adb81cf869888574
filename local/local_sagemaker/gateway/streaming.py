"""Sends answers in parts."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from local_sagemaker.http_guards.request_guard import Receive, Send


async def send_parts(parts: AsyncGenerator[bytes, None], send: Send, receive: Receive) -> None:
    """Send the parts of a body as they come, until the client disconnects.

    The request's own body should have been read.
    """
    # So the next message says that the client has disconnected.
    gone = asyncio.ensure_future(receive())
    try:
        async with contextlib.aclosing(parts):
            async for part in parts:
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        gone.cancel()
