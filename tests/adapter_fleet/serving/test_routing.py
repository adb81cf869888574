import pytest

from adapter_fleet.serving.routing import PrefixRouting, RoutingStrategy, check_prefix_routing

LIMITS = PrefixRouting(prefix_length=1024, concurrency_threshold=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prefix_length": 1023}, "'prefix_length' should be at least 1024, got 1023"),
        ({"prefix_length": 65537}, "'prefix_length' should be at most 65536, got 65537"),
        ({"concurrency_threshold": 0}, "'concurrency_threshold' should be at least 1, got 0"),
        ({"concurrency_threshold": 1025}, "'concurrency_threshold' should be at most 1024, got 1025"),
        ({"prefix_length": 4096.0}, "'prefix_length' should be a whole number, got 4096.0"),
    ],
)
def test_limit_that_the_service_refuses_is_an_error(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PrefixRouting(**{"prefix_length": 1024, "concurrency_threshold": 1, **settings})


def test_limits_come_with_routing_by_prefix_and_with_nothing_else() -> None:
    check_prefix_routing(RoutingStrategy.PREFIX_AWARE, LIMITS)
    check_prefix_routing(RoutingStrategy.RANDOM, None)
    with pytest.raises(ValueError, match=r"should be given with RoutingStrategy.PREFIX_AWARE, got None"):
        check_prefix_routing(RoutingStrategy.PREFIX_AWARE, None)
    with pytest.raises(ValueError, match="PREFIX_AWARE only, got it with RANDOM"):
        check_prefix_routing(RoutingStrategy.RANDOM, LIMITS)
