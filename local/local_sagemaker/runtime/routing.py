"""Picks the copy of a base model that answers a request, by the routing strategy of its variant."""

import json
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local_sagemaker.control_plane.hosting_port import Copy


def pick_copy(
    copies: Sequence[Copy], routing: Mapping[str, Any], text: bytes | str, prefix_id: str = ""
) -> Copy:
    """The copy for a request: one of the copies, in their order.

    text is what the service compares, in its unit: [V PrefixAwareRoutingConfig] the bytes of an invocation's
    body, and the characters of a chat's messages. prefix_id is PrefixAwareId of the request.
    """
    strategy = routing.get("RoutingStrategy")
    if strategy == "PREFIX_AWARE":
        limits = routing["PrefixAwareRoutingConfig"]
        # [V] Requests with the same prefix and the same id go to the same instance. [I] An instance is a copy
        # here, and which one it is, no source says.
        begin = text[: limits["PrefixLength"]]
        compared = begin.encode(errors="surrogatepass") if isinstance(begin, str) else begin
        prefix = prefix_id.encode() + b"\0" + compared
        chosen = copies[zlib.crc32(prefix) % len(copies)]
        if chosen.outstanding < limits["ConcurrencyThreshold"]:
            return chosen
    if strategy in ("PREFIX_AWARE", "LEAST_OUTSTANDING_REQUESTS"):
        least = min(copy.outstanding for copy in copies)
        copies = [copy for copy in copies if copy.outstanding == least]
    # A random choice among equals, or a client without concurrent requests would only reach one copy.
    return random.choice(copies)


def text_of_messages(body: bytes) -> str | bytes:
    """The text of a chat's messages, or its body if it has none.

    [V PrefixAwareRoutingConfig] "the text content of the messages array". [I] Of every message, one after
    another; of a content in parts, the text of each part.
    """
    try:
        chat = json.loads(body)
    except ValueError:
        return body
    match chat:
        case {"messages": [*messages]}:
            return "".join(part for message in messages for part in _texts(message))
    return body


def _texts(message: object) -> Iterator[str]:
    match message:
        case {"content": str(text)}:
            yield text
        case {"content": [*parts]}:
            for part in parts:
                match part:
                    case {"text": str(text)}:
                        yield text
