"""A table that throttles, refuses or does not answer is no failure of any adapter."""

from random import Random

import pytest
from botocore.exceptions import ConnectionClosedError

from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from tests.adapter_fleet.fleet.reconcile.passes.test_timeouts import IN_PLACE, RELEASES, adapters
from tests.adapter_fleet.fleet_world import World, deployed
from tests.fakes import client_error

WRITES = ("put_item", "update_item", "batch_write_item", "transact_write_items")
ERRORS = {
    "throttled": client_error("ThrottlingException"),
    "no throughput": client_error("ProvisionedThroughputExceededException"),
    "account's limit": client_error("RequestLimitExceeded"),
    "refused": client_error("AccessDeniedException"),
    "out of order": client_error("InternalServerError", "Internal server error"),
    "expired": client_error("ExpiredTokenException"),
    "without its key": client_error("KMSAccessDeniedException"),
    "cancelled": client_error("TransactionCanceledException", "[ProvisionedThroughputExceeded, None]"),
    "unanswered": ConnectionClosedError(endpoint_url="https://dynamodb"),
}


class Outage:
    """Ten minutes in which a share of the calls fails."""

    def __init__(self, world: World, fault: str, share: float, random: Random) -> None:
        self.clock, self.fault, self.share, self.random = world.clock, fault, share, random
        self.end = world.clock.now() + 600

    def __call__(self, operation: str) -> None:
        hit = self.random.random() < self.share and (self.fault != "refused" or operation in WRITES)
        if hit and self.clock.now() < self.end:
            raise ERRORS[self.fault]


@pytest.mark.parametrize("settings", [IN_PLACE, RELEASES], ids=["in place", "releases"])
@pytest.mark.parametrize("share", [0.05, 1.0])
@pytest.mark.parametrize("fault", ERRORS)
def test_fleet_converges_after_ten_minutes_of_a_faulty_table(
    settings: FleetSettings, share: float, fault: str
) -> None:
    for seed in range(4 if share < 1 else 1):
        world = deployed(*adapters(1), settings=settings)
        before, generation = len(world.writes()), world.deploy(*adapters(2))
        world.registry.on_call(Outage(world, fault, share, Random(seed)))
        world.run_for(700)
        world.registry.on_call(lambda _operation: None)
        assert world.generation(generation.number).outcome is Outcome.CONVERGED
        assert world.newest().in_service == len(adapters(2))
        assert len(world.writes()) - before == len(adapters(2))
        assert not world.log.unexpected_errors
