"""How an endpoint routes requests to the copies of its base model."""

from enum import StrEnum


class RoutingStrategy(StrEnum):
    """How the endpoint picks the copy of the base model that answers a request.

    The API also has PREFIX_AWARE, which needs a prefix cache, and KV_AWARE, which CloudFormation does not
    have.

    Example::

        strategy = RoutingStrategy.RANDOM  # `routing_strategy` of a MultiAdapterEndpoint
    """

    LEAST_OUTSTANDING_REQUESTS = "LEAST_OUTSTANDING_REQUESTS"
    RANDOM = "RANDOM"
