"""Compressed request bodies are decompressed only up to the limit of a body.

Fault of ministack: it decompresses the whole body, and 70 MB of compressed zeros take 70 GB of memory.
"""

import gzip
import io
import logging

import ministack.app

from local_sagemaker.ministack_patches.internals import expect

_log = logging.getLogger(__name__)


def install(limit: int) -> None:
    """Leave a body compressed if it has more than `limit` bytes; its service then refuses it."""
    expect(hasattr(ministack.app, "_decompress_request_body"), "app._decompress_request_body exists")
    decompress = ministack.app._decompress_request_body

    def decompress_within_limit(body: bytes, headers: dict[str, str]) -> bytes:
        if "gzip" in headers.get("content-encoding", "").lower() and _exceeds(body, limit):
            _log.warning("a compressed body has more than %d bytes", limit)
            return body
        content: bytes = decompress(body, headers)
        return content

    ministack.app._decompress_request_body = decompress_within_limit


def _exceeds(body: bytes, limit: int) -> bool:
    left = limit
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as content:
            while piece := content.read(min(left + 1, 1 << 20)):
                left -= len(piece)
                if left < 0:
                    return True
    except (OSError, EOFError):
        pass  # ministack reports the error
    return False
