from __future__ import annotations

from typing import Any

import pytest

from tests.local.world import ROLE, World


def managed(initial: int, least: int | None, most: int | None) -> dict[str, Any]:
    counts = {"MinInstanceCount": least, "MaxInstanceCount": most}
    return {
        "VariantName": "AllTraffic",
        "InstanceType": "ml.g5.12xlarge",
        "InitialInstanceCount": initial,
        "ManagedInstanceScaling": {"Status": "ENABLED", **counts},
    }


FITTING = managed(1, 0, 2)


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([managed(1, 2, 1)], "MinInstanceCount of production variant AllTraffic should be at most"),
        ([managed(3, 0, 2)], "should be from MinInstanceCount, 0, to MaxInstanceCount, 2, got 3"),
        ([managed(1, 2, 4)], "should be from MinInstanceCount, 2, to MaxInstanceCount, 4, got 1"),
        ([FITTING, FITTING], "several production variants with the name AllTraffic"),
        ([FITTING | {"InstanceType": None}], "an InstanceType or InstancePools, and not both"),
        ([FITTING | {"InitialInstanceCount": None}], "should have an InitialInstanceCount"),
    ],
)
def test_variants_that_cannot_be_are_refused(
    world: World, variants: list[dict[str, Any]], message: str
) -> None:
    request = {"EndpointConfigName": "config", "ProductionVariants": variants}
    assert message in world.refusal("CreateEndpointConfig", **request, ExecutionRoleArn=ROLE)


def test_variants_of_components_have_a_role(world: World) -> None:
    request = {"EndpointConfigName": "config", "ProductionVariants": [FITTING]}
    assert "ExecutionRoleArn" in world.refusal("CreateEndpointConfig", **request)


@pytest.mark.parametrize("counts", [(1, 0, 2), (2, 2, 2), (1, None, None)])
def test_counts_of_managed_scaling_that_fit_are_accepted(
    world: World, counts: tuple[int, int | None, int | None]
) -> None:
    world.call(
        "CreateEndpointConfig",
        EndpointConfigName="config",
        ExecutionRoleArn=ROLE,
        ProductionVariants=[managed(*counts)],
    )
