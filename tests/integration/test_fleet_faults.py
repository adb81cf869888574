"""Faults for real, on the embedded cloud: nothing is lost, nothing foreign touched, every case converges.

The reconciler's own tests meet any sequence of faults in memory.
"""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adapter_fleet.fleet.state.configuration import LEASE_SECONDS
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.rows.leased_table import Lease
from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import (
    changed_settings,
    client,
    create_adapter,
    delete_component,
    processes_of,
    tags_of,
    until,
)
from tests.integration.fleet_stack import Endpoint, Fleet, FleetStack, components, metric, numbered, wrong
from tests.profiles import PROFILE

pytestmark = pytest.mark.integration

FIRST, SECOND = numbered(3), {**numbered(2, shift=1), "new": "summary-v2"}
"""Two change, one goes, one comes."""


@dataclass(kw_only=True)
class Place:
    """A fleet, and beside it on the endpoint an adapter made by hand."""

    cloud: LocalCloud
    endpoint: Endpoint
    stack: FleetStack
    uid: str
    table: str
    by_hand: str
    """The component that is not the fleet's."""
    seen: tuple[Any, ...]
    """What was said of it in the beginning."""
    adapters: Mapping[str, str] = field(default_factory=lambda: FIRST)
    """What is in service."""

    @property
    def others(self) -> Mapping[str, str]:
        """The adapters to change to."""
        return SECOND if self.adapters == FIRST else FIRST

    @property
    def registry(self) -> Registry:
        return Registry(self.table, client(self.cloud, "dynamodb"))

    def check(self, adapters: Mapping[str, str]) -> None:
        """Assert that the fleet is as it should be, and everything else as it was."""
        assert self.stack.wrong("Main", self.endpoint.name, adapters) == {}
        assert wrong(self.cloud, self.endpoint.name, {self.by_hand: "shout"}) == {}
        assert said_of(self.cloud, self.by_hand) == self.seen
        assert sorted(self.registry.records.all()) == sorted(
            self.stack.component("Main", name) for name in adapters
        )

    def update(self, *, more: bool = False) -> None:
        """Begin an update of the fleet to the other adapters.

        more:
            Whether a resource after the fleet is to be made too.
        """
        self.cloud.admin.reset_calls()
        fleet = Fleet(adapters=self.others)
        self.stack.update({"Main": fleet}, broken=["Main"] if more else [], wait=False)

    def converges(self) -> None:
        """Wait for the end of the update."""
        self.stack.wait(seconds=90).succeeded()
        self.cloud.admin.clear_faults()
        self.adapters = self.others
        self.check(self.adapters)

    def stays(self) -> str:
        """Wait for the end of an update that fails; return why."""
        deployment = self.stack.wait(seconds=90)
        assert deployment.status == "UPDATE_ROLLBACK_COMPLETE"
        self.cloud.admin.clear_faults()
        self.check(self.adapters)
        return deployment.reason

    def written(self) -> int:
        """Return how many writes there were since the update began."""
        return sum(self.cloud.admin.writes().values())

    def throttled(self) -> float:
        """Return how many of its calls the fleet has found throttled, as its metric says."""
        return sum(metric(self.cloud, self.uid, "Throttles", "Sum"))

    def lease(self) -> Lease:
        """Return the lease as it is in the table."""
        key = {"pk": {"S": "fleet"}, "sk": {"S": "lease"}}
        item = client(self.cloud, "dynamodb").get_item(TableName=self.table, Key=key)["Item"]
        return Lease(
            owner=item["owner"]["S"], token=int(item["token"]["N"]), expires=float(item["until"]["N"])
        )


def said_of(cloud: LocalCloud, name: str) -> tuple[Any, ...]:
    """Return what does not change of a component that nobody touches."""
    there = client(cloud, "sagemaker").describe_inference_component(InferenceComponentName=name)
    return there["CreationTime"], there["Specification"], tags_of(cloud, name)


@pytest.fixture(scope="module")
def place(
    cloud: LocalCloud, short_waits: None, shared_endpoint: Endpoint, stack: FleetStack
) -> Iterator[Place]:
    endpoint, by_hand = shared_endpoint, f"{stack.prefix}-by-hand"
    create_adapter(cloud, by_hand, stack.archives.uri("shout"), endpoint=endpoint.name, base=endpoint.base)
    created = stack.create({"Main": Fleet(adapters=FIRST)}).succeeded()
    yield Place(
        cloud=cloud,
        endpoint=endpoint,
        stack=stack,
        uid=created.outputs["MainUid"],
        table=created.outputs["MainTable"],
        by_hand=by_hand,
        seen=said_of(cloud, by_hand),
    )
    delete_component(cloud, by_hand)
    until(lambda: by_hand not in components(cloud, endpoint.name), f"{by_hand} is gone")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked up in /proc")
def test_update_converges_through_each_fault(place: Place) -> None:
    makes_a_pass_again_that_is_killed(place)
    gives_way_to_another_deployment_when_it_is_cancelled(place)
    asks_again_what_was_throttled_or_not_answered(place)
    waits_for_a_table_that_throttles_refuses_or_is_slow(place)


def makes_a_pass_again_that_is_killed(place: Place) -> None:
    with changed_settings(place.cloud, component_update_seconds=4, component_create_seconds=4):
        place.update()
        kill_the_pass(place)
    end_lease(place)
    place.converges()


def kill_the_pass(place: Place) -> None:
    """Kill the process of a pass that has begun to write."""
    function = place.stack.resource("MainRunPass")
    until(lambda: place.written() >= 1, "the fleet writes")
    if PROFILE == "hostile":
        # Not before it has its answer: the next pass waits half a minute for what may show yet.
        time.sleep(1)
    killed = processes_of(place.cloud, "environ", f"AWS_LAMBDA_FUNCTION_NAME={function}\0")
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    assert place.lease().expires > time.time(), "it should have died with the lease"


def end_lease(place: Place) -> None:
    """Let the time of a lease pass."""
    assert place.lease().expires < time.time() + LEASE_SECONDS
    client(place.cloud, "dynamodb").update_item(
        TableName=place.table,
        Key={"pk": {"S": "fleet"}, "sk": {"S": "lease"}},
        UpdateExpression="SET #until = :now",
        ExpressionAttributeNames={"#until": "until"},
        ExpressionAttributeValues={":now": {"N": "0"}},
    )


def gives_way_to_another_deployment_when_it_is_cancelled(place: Place) -> None:
    with changed_settings(place.cloud, component_update_seconds=1):
        place.update(more=True)
        until(lambda: place.written() >= 1, "the fleet writes")
        client(place.cloud, "cloudformation").cancel_update_stack(StackName=place.stack.name)
    assert "no-such-base" not in place.stays(), "the resource after the fleet was begun"


def asks_again_what_was_throttled_or_not_answered(place: Place) -> None:
    """Half of all reads are throttled; of each kind of write, one answer is lost after the service acted."""
    before, sagemaker = place.throttled(), client(place.cloud, "sagemaker")
    place.cloud.admin.fail_calls("reads", code="ThrottlingException", times=None, share=0.5)
    by_operation: dict[str, dict[str, Any]] = {
        "create_inference_component": {"EndpointName": "none", "Specification": {}},
        "update_inference_component": {},
        "delete_inference_component": {},
    }
    for operation in by_operation:
        place.cloud.admin.lose_answers(sagemaker.meta.method_to_api_mapping[operation], times=1)
    place.update()
    place.stack.wait()
    for operation, further in by_operation.items():
        with pytest.raises(ClientError):  # the answer arrives: the one to lose was the fleet's
            getattr(sagemaker, operation)(InferenceComponentName="none", **further)
    place.converges()
    # Metrics are made of what a pass has logged, for which the end of a deployment does not wait.
    until(lambda: place.throttled() > before, "throttled calls are counted")


def waits_for_a_table_that_throttles_refuses_or_is_slow(place: Place) -> None:
    admin = place.cloud.admin
    with changed_settings(place.cloud, component_update_seconds=1, component_create_seconds=1):
        place.update()
        until(lambda: place.written() >= 1, "the fleet writes")
        for operation, code in (
            ("dynamodb:writes", "ProvisionedThroughputExceededException"),
            ("dynamodb:reads", "AccessDeniedException"),
        ):
            admin.fail_calls(operation, code=code, times=None, table=place.table)
            time.sleep(4)
            admin.clear_faults()
        admin.slow_calls("dynamodb:writes", seconds=0.3, table=place.table)
        place.converges()
