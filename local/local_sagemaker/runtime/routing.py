"""Picks the copy of a base model that answers a request, by the routing strategy of its variant."""

import random
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from local_sagemaker.control_plane.hosting_port import Copy


def pick_copy(copies: Sequence[Copy], routing: Mapping[str, Any], text: bytes, prefix_id: str = "") -> Copy:
    """The copy for a request: one of the copies, in their order.

    text is what the service compares, [V ProductionVariantRoutingConfig] the body of an invocation. prefix_id
    is PrefixAwareId of the request.
    """
    strategy = routing.get("RoutingStrategy")
    if strategy == "PREFIX_AWARE":
        limits = routing["PrefixAwareRoutingConfig"]
        # [V] Requests with the same prefix and the same id go to the same instance. [I] An instance is a copy
        # here, and which one it is, no source says.
        prefix = prefix_id.encode() + b"\0" + text[: limits["PrefixLength"]]
        chosen = copies[zlib.crc32(prefix) % len(copies)]
        if chosen.outstanding < limits["ConcurrencyThreshold"]:
            return chosen
    if strategy in ("PREFIX_AWARE", "LEAST_OUTSTANDING_REQUESTS"):
        least = min(copy.outstanding for copy in copies)
        copies = [copy for copy in copies if copy.outstanding == least]
    # A random choice among equals, or a client without concurrent requests would only reach one copy.
    return random.choice(copies)
