"""Faults for real, on the embedded cloud: nothing is lost, nothing foreign touched, every case converges."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adapter_fleet.fleet.state.configuration import LEASE_SECONDS
from adapter_fleet.fleet.state.fleet_settings import UpdateMode
from adapter_fleet.fleet.state.registry import Lease, Registry
from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import client, write
from tests.integration.fleet_stack import Endpoint, Fleet, FleetStack, components, metric, numbered, wrong
from tests.profiles import PROFILE

pytestmark = pytest.mark.integration

FIRST, SECOND = numbered(3), {**numbered(2, shift=1), "new": "summary-v2"}
"""Two change, one goes, one comes."""


@dataclass(kw_only=True)
class Place:
    """A fleet to be place, and beside it on the endpoint another fleet and an adapter made by hand."""

    cloud: LocalCloud
    endpoint: Endpoint
    stack: FleetStack
    uid: str
    table: str
    machine: str
    strangers: Mapping[str, str]
    """Labels of what is not the fleet's, by component."""
    seen: Mapping[str, tuple[Any, ...]]
    """What was said of them in the beginning."""
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
        assert wrong(self.cloud, self.endpoint.name, self.strangers) == {}
        assert said_of(self.cloud, self.strangers) == self.seen
        assert sorted(self.registry.records()) == sorted(
            self.stack.component("Main", name) for name in adapters
        )

    def update(
        self, adapters: Mapping[str, str] | None = None, *, more: bool = False, **settings: Any
    ) -> None:
        """Begin an update of the fleet, to the other adapters by default.

        more:
            Whether a resource after the fleet is to be made too.
        """
        self.cloud.admin.reset_calls()
        fleet = Fleet(adapters=self.others if adapters is None else adapters, settings=settings)
        self.stack.update({"Main": fleet}, broken=["Main"] if more else [], wait=False)

    def converges(self) -> None:
        """Wait for the end of the update."""
        deployment = self.stack.wait(seconds=90)
        assert deployment.status == "UPDATE_COMPLETE", deployment.reason
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

    def until(self, condition: Callable[[], object], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.cloud.admin.calls()
            time.sleep(0.05)

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


def said_of(cloud: LocalCloud, names: Mapping[str, str]) -> dict[str, tuple[Any, ...]]:
    """Return what does not change of components that nobody touches."""
    sagemaker, said = client(cloud, "sagemaker"), {}
    for name in names:
        there = sagemaker.describe_inference_component(InferenceComponentName=name)
        tags = sagemaker.list_tags(ResourceArn=there["InferenceComponentArn"])["Tags"]
        said[name] = (there["CreationTime"], there["Specification"], sorted(map(str, tags)))
    return said


@contextmanager
def settings(cloud: LocalCloud, **changes: Any) -> Iterator[None]:
    """Let the embedded cloud be different for a while."""
    before = cloud.admin.settings()
    cloud.admin.change_settings(**changes)
    try:
        yield
    finally:
        cloud.admin.clear_faults()
        cloud.admin.change_settings(**before)


@pytest.fixture(scope="module")
def place(
    cloud: LocalCloud,
    short_waits: None,
    shared_endpoint: Endpoint,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    folder, endpoint = tmp_path_factory.mktemp("faults"), shared_endpoint
    before = components(cloud, endpoint.name).keys()
    beside = FleetStack(cloud, folder, endpoint=endpoint)
    others = numbered(2)
    made = beside.create({"Beside": Fleet(adapters=others)})
    assert made.status == "CREATE_COMPLETE", made.reason
    by_hand = f"{beside.prefix}-by-hand"
    write(
        client(cloud, "sagemaker").create_inference_component,
        InferenceComponentName=by_hand,
        EndpointName=endpoint.name,
        Specification={
            "BaseInferenceComponentName": endpoint.base,
            "Container": {"ArtifactUrl": beside.archives.uri("shout")},
        },
    )
    strangers = {
        **{beside.component("Beside", name): label for name, label in others.items()},
        by_hand: "shout",
    }
    main = FleetStack(cloud, folder, endpoint=endpoint)
    created = main.create({"Main": Fleet(adapters=FIRST)})
    assert created.status == "CREATE_COMPLETE", created.reason
    place = Place(
        cloud=cloud,
        endpoint=endpoint,
        stack=main,
        uid=created.outputs["MainUid"],
        table=created.outputs["MainTable"],
        machine=created.outputs["MainMachine"],
        strangers=strangers,
        seen=said_of(cloud, strangers),
    )
    yield place
    assert main.delete().status == "DELETE_COMPLETE"
    # Only the fleet's components go with it.
    assert wrong(cloud, endpoint.name, strangers) == {}
    assert components(cloud, endpoint.name).keys() == {*before, *strangers}
    write(client(cloud, "sagemaker").delete_inference_component, InferenceComponentName=by_hand)
    assert beside.delete().status == "DELETE_COMPLETE"


def workers(cloud: LocalCloud, function: str) -> list[int]:
    """Return the processes of the embedded cloud that run a Lambda function."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        pid = int(entry.name)
        parents[pid] = int(stat.rpartition(")")[2].split()[1])
        names[pid] = f"AWS_LAMBDA_FUNCTION_NAME={function}".encode() in environment

    def descends(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == cloud.process.pid:
                return True
        return False

    return [pid for pid, runs in names.items() if runs and descends(pid)]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked up in /proc")
def test_pass_that_is_killed_is_made_again(place: Place) -> None:
    resources = client(place.cloud, "cloudformation").describe_stack_resources(StackName=place.stack.name)[
        "StackResources"
    ]
    (function,) = [
        resource["PhysicalResourceId"]
        for resource in resources
        if resource["ResourceType"] == "AWS::Lambda::Function"
        and resource["LogicalResourceId"].startswith("MainRunPass")
    ]
    with settings(place.cloud, component_update_seconds=4, component_create_seconds=4):
        place.update()
        place.until(lambda: place.written() >= 1)
        if PROFILE == "hostile":
            # Not before it has its answer: the next pass waits half a minute for what may show yet.
            time.sleep(1)
        killed = workers(place.cloud, function)
        assert killed
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        assert place.lease().expires > time.time(), "it should have died with the lease"
    end_lease(place)
    place.converges()


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


def test_deployment_that_is_cancelled_gives_way_to_another(place: Place) -> None:
    with settings(place.cloud, component_update_seconds=1):
        place.update(more=True)
        place.until(lambda: place.written() >= 1)
        client(place.cloud, "cloudformation").cancel_update_stack(StackName=place.stack.name)
    assert "no-such-base" not in place.stays(), "the resource after the fleet was begun"
    place.update()
    place.converges()


def test_half_of_all_calls_are_throttled(place: Place) -> None:
    before = place.throttled()
    for calls in ("writes", "reads"):
        place.cloud.admin.fail_calls(calls, code="ThrottlingException", times=None, share=0.5)
    place.update()
    place.converges()
    # Four changes: whatever was refused was asked for again.
    assert place.written() > 4
    # Metrics are made of what a pass has logged, for which the end of a deployment does not wait.
    place.until(lambda: place.throttled() > before)


def test_answers_are_lost_after_the_service_acted(place: Place) -> None:
    sagemaker = client(place.cloud, "sagemaker")
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


def test_update_that_is_refused_in_place_fails_the_deployment_and_leaves_everything_as_it_was(
    place: Place,
) -> None:
    names = {place.stack.component("Main", name): label for name, label in place.adapters.items()}
    before = said_of(place.cloud, names)
    with settings(place.cloud, adapter_update="refused"):
        # Not those that it had before: that would be an undo, which no failure stops.
        place.update({**place.others, "more": "shout"})
        reason = place.stays()
    assert "not supported" in reason
    assert "failure_policy" in reason
    kept = [name for name in place.adapters if name in place.others]
    after = said_of(place.cloud, {place.stack.component("Main", name): "" for name in kept})
    assert {name: before[name] for name in after} == after


def test_update_that_is_refused_in_place_is_a_new_component_where_the_mode_says_so(place: Place) -> None:
    with settings(place.cloud, adapter_update="refused"):
        place.update(update_mode=UpdateMode.REPLACE)
        place.converges()


def test_machine_that_is_stopped_is_started_again_by_the_deployment(place: Place) -> None:
    states = client(place.cloud, "stepfunctions")
    with settings(place.cloud, component_update_seconds=3):
        place.update()
        place.until(lambda: place.written() >= 1)
        listed = states.list_executions(stateMachineArn=place.machine, statusFilter="RUNNING")
        assert listed["executions"]
        for execution in listed["executions"]:
            states.stop_execution(executionArn=execution["executionArn"])
        place.until(lambda: place.lease().expires < time.time(), seconds=30)
        age(place, seconds=300)
    place.converges()


def age(place: Place, *, seconds: float) -> None:
    """Let time pass of which the fleet's table tells."""
    registry = place.registry
    fleet = registry.fleet()
    assert fleet is not None
    generation = registry.generation(fleet.generation)
    assert generation is not None
    lease = registry.acquire("test", time.time(), 10)
    assert lease is not None
    request = replace(generation.request, at=generation.request.at - seconds)
    registry.save_generation(replace(generation, request=request), lease)
    registry.save_fleet(replace(fleet, heartbeat=fleet.heartbeat - seconds), lease)
    registry.release(lease)
