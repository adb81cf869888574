"""A compressed body is inflated up to the limit of a body, and not to whatever it holds.

ministack inflates the whole of it: 70 MB of zeros are 70 GB of memory.
"""

import gzip
import io
import logging

import ministack.app

from local_sagemaker.ministack_patches.internals import expect

_log = logging.getLogger(__name__)


def install(limit: int) -> None:
    """Leave a body compressed that has more than a number of bytes: its service cannot read it then."""
    expect(hasattr(ministack.app, "_decompress_request_body"), "app._decompress_request_body inflates bodies")
    decompress = ministack.app._decompress_request_body

    def decompress_within_limit(body: bytes, headers: dict[str, str]) -> bytes:
        if "gzip" in headers.get("content-encoding", "").lower() and _inflates_above(body, limit):
            _log.warning("a compressed body has more than %d bytes", limit)
            return body
        inflated: bytes = decompress(body, headers)
        return inflated

    ministack.app._decompress_request_body = decompress_within_limit


def _inflates_above(body: bytes, limit: int) -> bool:
    left = limit
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as content:
            while piece := content.read(min(left + 1, 1 << 20)):
                left -= len(piece)
                if left < 0:
                    return True
    except (OSError, EOFError):
        pass  # ministack says what is wrong with it
    return False
