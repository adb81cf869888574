"""Picks the copy of a base model that answers a request, by the routing strategy of its variant."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from local_sagemaker.control_plane.hosting_port import Copy


def pick_copy(copies: Sequence[Copy], routing: Mapping[str, Any]) -> Copy:
    """The copy for a request: one of the copies, in their order."""
    if routing.get("RoutingStrategy") == "LEAST_OUTSTANDING_REQUESTS":
        least = min(copy.outstanding for copy in copies)
        copies = [copy for copy in copies if copy.outstanding == least]
    # A random choice among equals, or a client without concurrent requests would only reach one copy.
    return random.choice(copies)
