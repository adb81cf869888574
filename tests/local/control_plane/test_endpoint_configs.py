from __future__ import annotations

import pytest

from tests.local.world import ROLE, World


def managed(initial: int, least: int | None, most: int | None) -> dict[str, object]:
    counts = {"MinInstanceCount": least, "MaxInstanceCount": most}
    scaling = {"Status": "ENABLED", **{key: count for key, count in counts.items() if count is not None}}
    return {
        "VariantName": "AllTraffic",
        "InstanceType": "ml.g5.12xlarge",
        "InitialInstanceCount": initial,
        "ManagedInstanceScaling": scaling,
    }


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (
            (1, 2, 1),
            "MinInstanceCount of production variant AllTraffic should be at most MaxInstanceCount, 1",
        ),
        ((3, 0, 2), "should be from MinInstanceCount, 0, to MaxInstanceCount, 2, got 3"),
        ((1, 2, 4), "should be from MinInstanceCount, 2, to MaxInstanceCount, 4, got 1"),
    ],
)
def test_counts_of_managed_scaling_that_contradict_each_other_are_refused(
    world: World, counts: tuple[int, int, int], message: str
) -> None:
    refusal = world.refusal(
        "CreateEndpointConfig",
        EndpointConfigName="config",
        ExecutionRoleArn=ROLE,
        ProductionVariants=[managed(*counts)],
    )
    assert message in refusal


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


def test_variants_have_names_of_their_own(world: World) -> None:
    refusal = world.refusal(
        "CreateEndpointConfig",
        EndpointConfigName="config",
        ExecutionRoleArn=ROLE,
        ProductionVariants=[managed(1, 1, 1), managed(1, 1, 1)],
    )
    assert "several production variants with the name AllTraffic" in refusal
