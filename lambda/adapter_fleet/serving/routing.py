"""How an endpoint routes requests to the copies of its base model."""

from dataclasses import dataclass
from enum import StrEnum

from adapter_fleet.common.validators import check_whole_number

_LENGTHS = (1024, 65536)
_CONCURRENCIES = (1, 1024)


class RoutingStrategy(StrEnum):
    """How the endpoint picks the copy of the base model that answers a request.

    The API also has KV_AWARE, which CloudFormation does not have.

    Example::

        strategy = RoutingStrategy.RANDOM  # `routing_strategy` of a MultiAdapterEndpoint
    """

    LEAST_OUTSTANDING_REQUESTS = "LEAST_OUTSTANDING_REQUESTS"
    RANDOM = "RANDOM"
    PREFIX_AWARE = "PREFIX_AWARE"
    """Requests with the same beginning go to the same instance, whose prefix cache has it; needs a
    `PrefixRouting`."""


@dataclass(frozen=True, kw_only=True)
class PrefixRouting:
    """The limits of `RoutingStrategy.PREFIX_AWARE`.

    prefix_length:
        How much of a request's beginning decides, at most: bytes of the body, and on the OpenAI path
        characters of the messages. From 1,024 to 65,536. A chat template or system prompt that all requests
        share should be shorter.
    concurrency_threshold:
        Requests in progress on the chosen instance from which on another one answers, from 1 to 1,024.

    Example::

        PrefixRouting(prefix_length=4096, concurrency_threshold=16)
    """

    prefix_length: int
    concurrency_threshold: int

    def __post_init__(self) -> None:
        for setting, (least, most) in (
            ("prefix_length", _LENGTHS),
            ("concurrency_threshold", _CONCURRENCIES),
        ):
            value = getattr(self, setting)
            check_whole_number(setting, value, at_least=least)
            if value > most:
                raise ValueError(f"'{setting}' should be at most {most}, got {value}")


def check_prefix_routing(strategy: RoutingStrategy, prefix_routing: PrefixRouting | None) -> None:
    """Raise ValueError unless PREFIX_AWARE comes with its limits, and no other strategy with them."""
    if strategy is RoutingStrategy.PREFIX_AWARE and prefix_routing is None:
        raise ValueError("'prefix_routing' should be given with RoutingStrategy.PREFIX_AWARE, got None")
    if strategy is not RoutingStrategy.PREFIX_AWARE and prefix_routing is not None:
        raise ValueError(
            f"'prefix_routing' should be given with RoutingStrategy.PREFIX_AWARE only, got it with {strategy}"
        )
