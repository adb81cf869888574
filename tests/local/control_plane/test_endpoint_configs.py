from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.local.world import ROLE, World


def variant(routing: Mapping[str, object]) -> dict[str, object]:
    return {
        "VariantName": "AllTraffic",
        "InstanceType": "ml.g5.12xlarge",
        "InitialInstanceCount": 1,
        "RoutingConfig": {"RoutingStrategy": "PREFIX_AWARE", **routing},
    }


def test_routing_by_prefix_is_described_as_it_was_created(world: World) -> None:
    limits = {"PrefixAwareRoutingConfig": {"PrefixLength": 4096, "ConcurrencyThreshold": 16}}
    world.call(
        "CreateEndpointConfig",
        EndpointConfigName="config",
        ExecutionRoleArn=ROLE,
        ProductionVariants=[variant(limits)],
    )
    described = world.call("DescribeEndpointConfig", EndpointConfigName="config")
    assert described["ProductionVariants"] == [variant(limits)]


@pytest.mark.parametrize(
    ("routing", "message"),
    [
        ({}, "should have PrefixLength and ConcurrencyThreshold with PREFIX_AWARE"),
        (
            {"PrefixAwareRoutingConfig": {"PrefixLength": 4096}},
            "should have ConcurrencyThreshold with PREFIX_AWARE",
        ),
        (
            {"PrefixAwareRoutingConfig": {"PrefixLength": 512, "ConcurrencyThreshold": 16}},
            "Member must have value greater than or equal to 1024",
        ),
    ],
)
def test_routing_by_prefix_without_its_limits_is_refused(
    world: World, routing: dict[str, object], message: str
) -> None:
    refusal = world.refusal(
        "CreateEndpointConfig",
        EndpointConfigName="config",
        ExecutionRoleArn=ROLE,
        ProductionVariants=[variant(routing)],
    )
    assert message in refusal
