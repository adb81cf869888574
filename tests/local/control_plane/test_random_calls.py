"""Random sequences of calls of SageMaker and Application Auto Scaling, drawn from botocore's model.

`make nightly` makes 20,000 other ones every time. Of every answer it is checked that the operation's model
has it: its members and values, or its error. Of every resource, that it goes from state to state as
documented. A call that fails in another way would be a 500.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from logging.handlers import BufferingHandler
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from local_sagemaker.autoscaling.scaled_components import ScaledComponents
from local_sagemaker.autoscaling.service import SERVICE, AutoScaling
from local_sagemaker.control_plane.capacity import instance_count, room_on, scales_instances
from local_sagemaker.control_plane.component import AdapterComponent, BaseComponent
from local_sagemaker.control_plane.control_plane import SageMakerControlPlane
from local_sagemaker.control_plane.endpoint_record import EndpointRecord
from local_sagemaker.control_plane.request_validation import operation_model, shape_problems
from local_sagemaker.errors import ApiError
from local_sagemaker.gateway.cloud import Cloud
from local_sagemaker.settings import PROFILES
from tests.local.autoscaling.scaled import FakeAlarms
from tests.local.control_plane.random_requests import ADAPTER, BASE, RequestMaker
from tests.local.world import World
from tests.nightly import NIGHTLY

_log = logging.getLogger(__name__)

STEPS = 50
# Within it, a component that has come into service may already be without a copy that ended.
LONG = 5
CALLS = 20_000 if NIGHTLY else 400

# How often operations are drawn; all others once.
WEIGHTS = {
    "CreateEndpoint": 4,
    "CreateEndpointConfig": 3,
    "CreateInferenceComponent": 8,
    "CreateModel": 3,
    "DeleteInferenceComponent": 2,
    "DeleteScalingPolicy": 2,
    "DeleteScheduledAction": 3,
    "DescribeInferenceComponent": 2,
    "ListInferenceComponents": 2,
    "PutScalingPolicy": 3,
    "PutScheduledAction": 3,
    "RegisterScalableTarget": 3,
    "UpdateEndpoint": 3,
    "UpdateInferenceComponent": 6,
    "UpdateInferenceComponentRuntimeConfig": 3,
}

# [V API reference, "Common Errors"] What any operation of SageMaker may answer. [V Coral] And what is no
# request at all.
COMMON_ERRORS = {
    "ValidationException",
    "ThrottlingException",
    "AccessDeniedException",
    "SerializationException",
    "UnknownOperationException",
}

ENDPOINT, COMPONENT = "endpoint", "inference-component"
Change = tuple[str, str | None, str | None]

# What the status of an endpoint or a component may become, by what happens. [V developer guide, API
# reference]
BY_TIME: set[Change] = {
    (ENDPOINT, "Creating", "InService"),
    (ENDPOINT, "Updating", "InService"),
    (ENDPOINT, "Deleting", None),
    (COMPONENT, "Creating", "InService"),
    (COMPONENT, "Creating", "Failed"),
    (COMPONENT, "Updating", "InService"),
    (COMPONENT, "Deleting", None),
}
BY_CALL: Mapping[str, set[Change]] = {
    "CreateEndpoint": {(ENDPOINT, None, "Creating")},
    "UpdateEndpoint": {(ENDPOINT, "InService", "Updating")},
    "DeleteEndpoint": {(ENDPOINT, "InService", "Deleting")},
    "CreateInferenceComponent": {(COMPONENT, None, "Creating")},
    "UpdateInferenceComponent": {(COMPONENT, "InService", "Updating")},
    "UpdateInferenceComponentRuntimeConfig": {(COMPONENT, "InService", "Updating")},
    "DeleteInferenceComponent": {(COMPONENT, "InService", "Deleting"), (COMPONENT, "Failed", "Deleting")},
    # It may bring the copies within the bounds at once.
    SERVICE: {(COMPONENT, "InService", "Updating")},
}

KINDS = {
    "model": "ModelName",
    "endpoint-config": "EndpointConfigName",
    "endpoint": "EndpointName",
    "inference-component": "InferenceComponentName",
}

# What is not as in the profile `kind`, in any mixture.
HOSTILE = {
    name: value
    for name, value in vars(PROFILES["hostile"]).items()
    if name != "profile" and value != getattr(PROFILES["kind"], name)
}

# What makes what a request names, and what operations need beside what their models require.
MAKERS = {
    **{member: ("sagemaker", f"Create{member.removesuffix('Name')}") for member in KINDS.values()},
    "ResourceArn": ("sagemaker", "CreateModel"),
    "Target": (SERVICE, "RegisterScalableTarget"),
    "PolicyName": (SERVICE, "PutScalingPolicy"),
    "ScheduledActionName": (SERVICE, "PutScheduledAction"),
    "ResourceARN": (SERVICE, "RegisterScalableTarget"),
}
ALSO_NEEDED = {
    "CreateInferenceComponent": ["ModelName"],
    "RegisterScalableTarget": ["InferenceComponentName"],
    "PutScalingPolicy": ["Target"],
    "PutScheduledAction": ["Target"],
    "DeregisterScalableTarget": ["Target"],
}

made: Counter[str] = Counter()
succeeded: Counter[str] = Counter()


class Calls(RuleBasedStateMachine):
    """One account. Each step is a call, after some time."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = BufferingHandler(capacity=1_000)
        self.errors.setLevel(logging.ERROR)
        logging.getLogger("local_sagemaker").addHandler(self.errors)
        self.tokens: list[str] = []
        self.modified: dict[str, float] = {}

    @initialize(
        hostile=st.lists(st.sampled_from(sorted(HOSTILE)), unique=True),
        refused=st.booleans(),
        served=st.booleans(),
    )
    def begin(self, hostile: list[str], refused: bool, served: bool) -> None:
        mixed = {name: HOSTILE[name] for name in hostile}
        self.world = World()
        self.world.change(**(mixed | ({"adapter_update": "refused"} if refused else {})))
        self.scaling = AutoScaling(
            account="111122223333",
            region="us-east-1",
            scalable=ScaledComponents(self.world.plane),
            alarms=FakeAlarms(),
            clock=self.world.clock.now,
            scale=lambda: 1.0,
        )
        self.gateway = _Gateway(self.world)
        if served:
            self.world.serve("one")
        self.operations = [
            (service, operation)
            for service, known in (
                ("sagemaker", self.world.plane._operations),
                (SERVICE, self.scaling._operations),
            )
            for operation in sorted(known)
            for _ in range(WEIGHTS.get(operation, 1))
        ]

    @rule(
        data=st.data(),
        seed=st.integers(0, 2**32 - 1),
        seconds=st.sampled_from([0, 0, 0.05, 1, 3, 30, 700]),
    )
    def call(self, data: st.DataObject, seed: int, seconds: float) -> None:
        drawn = data.draw(st.sampled_from(self.operations))
        self.pass_time(seconds)
        present = self.present()
        if seed % 30 == 1 and self.world.running:
            Random(seed).choice(self.world.running).die()
        if seed % 30 == 2:
            self.world.hosting.starts_that_fail.add(len(self.world.hosting.started))
        if seed % 5 == 3:
            self.ring(Random(seed))
        if seed % 9 == 4:
            self.world.telemetry.alarms["alarm"] = Random(seed).choice(("OK", "ALARM"))
        service, operation = self.possible(*drawn, present) if seed % 20 else drawn
        request = RequestMaker(Random(seed), self.world.clock.now(), present).request(operation, service)
        before = self.statuses()
        self.ask(service, operation, request)
        group = operation if service == "sagemaker" else SERVICE
        self.check_changes(before, BY_CALL.get(group, set()))
        self.check_resources()

    def possible(self, service: str, operation: str, present: Mapping[Any, list[str]]) -> tuple[str, str]:
        """An operation, or the one that makes what it needs."""
        shape = operation_model(operation, service).input_shape
        needed = [*(shape.required_members if shape else []), *ALSO_NEEDED.get(operation, [])]
        for member in needed:
            maker = MAKERS.get(member)
            if maker is not None and maker[1] != operation and not present.get(member):
                return self.possible(*maker, present)
        return service, operation

    def present(self) -> dict[Any, list[str]]:
        """What exists now, by the member that names it."""
        plane = self.world.plane
        components = list(plane.components._components.values())
        bases = [one.name for one in components if isinstance(one, BaseComponent)]
        arns = plane.tags.all()
        names = {kind: [arn.rpartition("/")[2] for arn in arns if f":{kind}/" in arn] for kind in KINDS}
        return {
            **{member: names[kind] for kind, member in KINDS.items()},
            BASE: bases,
            ADAPTER: [one.name for one in components if isinstance(one, AdapterComponent)],
            "BaseInferenceComponentName": bases,
            "ResourceArn": list(arns),
            "Target": [*self.scaling._targets],
            "ResourceId": [*self.scaling._targets] or [f"inference-component/{name}" for name in bases],
            "ResourceARN": [target.arn for target in self.scaling._targets.values()],
            "PolicyName": [name for _, name in self.scaling._policies],
            "ScheduledActionName": [name for _, name in self.scaling._schedules],
            "NextToken": self.tokens,
        }

    def ask(self, service: str, operation: str, request: dict[str, Any]) -> None:
        made[operation] += 1
        model = operation_model(operation, service)
        answer = self.on_the_loop(service, operation, request)
        if isinstance(answer, ApiError):
            self.check_refusal(answer, {shape.name for shape in model.error_shapes}, request)
            return
        succeeded[operation] += 1
        if model.output_shape is not None:
            assert shape_problems(model.output_shape, answer) == []
            missing = [name for name in model.output_shape.required_members if name not in answer]
            assert missing == []
        else:
            assert answer == {}
        if "NextToken" in answer:
            self.tokens = [*self.tokens[-5:], answer["NextToken"]]

    def check_refusal(self, error: ApiError, declared: set[str], request: dict[str, Any]) -> None:
        assert error.code in declared | COMMON_ERRORS, f"{error.code}: {error}"
        assert 400 <= error.status < 500
        assert error.message
        # One enumeration of the model has a value `None`.
        words = re.sub(r"enum value set: \[.*?\]", "", error.message)
        for garbled in ("None", "object at", "{'", "['", "Error("):
            assert garbled not in words or _given(garbled, request), error.message

    def on_the_loop(self, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any] | ApiError:
        async def call() -> dict[str, Any] | ApiError:
            if service == SERVICE:
                try:
                    return self.scaling.call(operation, request)
                except ApiError as error:
                    return error
            headers = {"x-amz-target": f"SageMaker.{operation}"}
            body = json.dumps(request).encode()
            status, _, content = await self.gateway.handle("POST", "/", headers, body, {})
            answer: dict[str, Any] = json.loads(content)
            if status == HTTPStatus.OK:
                return answer
            return ApiError(answer["__type"], answer["message"], status=status)

        return self.world.loop.run_until_complete(call())

    def pass_time(self, seconds: float) -> None:
        async def tick() -> None:
            self.scaling.tick()

        before = self.statuses()
        self.world.pass_time(seconds)
        after = self.check_changes(before, BY_TIME)
        for component in self.world.plane.components._components.values():
            created = before.get(component.arn) == "Creating" and component.state.status == "InService"
            assert not created or component.failure_reason is None or seconds > LONG, component.failure_reason
        self.world.loop.run_until_complete(tick())
        self.check_changes(after, BY_CALL[SERVICE])

    def ring(self, random: Random) -> None:
        """Let an alarm ring for a scaling policy, if there is one."""
        policies = [policy.arn for policy in self.scaling._policies.values()]
        alarm = {"AlarmName": random.choice(("a-AlarmHigh-1", "a-AlarmLow-1")), "Threshold": 1.0}

        async def act() -> None:
            self.scaling.alarmed(random.choice(policies), alarm, random.choice((0.0, 2.0, 50.0)))

        before = self.statuses()
        if policies:
            self.world.loop.run_until_complete(act())
        self.check_changes(before, BY_CALL[SERVICE])

    def statuses(self) -> dict[str, str]:
        """The statuses of components and of endpoints, by ARN."""
        plane = self.world.plane
        components = plane.components._components.values()
        statuses = {component.arn: component.state.status for component in components}
        return statuses | {endpoint.arn: endpoint.status for endpoint in plane.endpoints.all()}

    def check_changes(self, before: Mapping[str, str], allowed: set[Change]) -> dict[str, str]:
        """Compare the statuses with those from before; return them."""
        after = self.statuses()
        for arn in before.keys() | after.keys():
            change = arn.rpartition(":")[2].partition("/")[0], before.get(arn), after.get(arn)
            assert change[1] == change[2] or change in allowed, f"{arn} went from {change[1]} to {change[2]}"
        return after

    def check_resources(self) -> None:
        assert not self.errors.buffer, self.errors.buffer[0].getMessage()
        plane = self.world.plane
        for component in plane.components._components.values():
            assert plane.endpoints.find(component.endpoint.name) is component.endpoint
            assert component.created <= component.modified
            assert component.modified >= self.modified.get(component.arn + str(component.created), 0)
            self.modified[component.arn + str(component.created)] = component.modified
            reason = component.failure_reason
            assert reason is not None or component.state.status != "Failed"
            assert reason is None or not reason.startswith("InternalFailure"), reason
            if isinstance(component, AdapterComponent):
                assert plane.components.find(component.base.name) is component.base
                assert component.variant == component.base.variant
        for endpoint in plane.endpoints.all():
            for variant in endpoint.config["ProductionVariants"]:
                self.check_instances(endpoint, variant)
                self.check_room(variant, plane.components.bases_on(endpoint, variant["VariantName"]))

    def check_instances(self, endpoint: EndpointRecord, variant: dict[str, Any]) -> None:
        """As many instances as the configuration says, and one for each copy."""
        count = self.world.plane.endpoints.instances.current(endpoint, variant)
        bases = self.world.plane.components.bases_on(endpoint, variant["VariantName"])
        used = {instance for base in bases for instance, _ in base.placements}
        fewest = variant["InitialInstanceCount"]
        if scales_instances(variant):
            fewest = variant["ManagedInstanceScaling"].get("MinInstanceCount", 1)
        assert max(fewest, len(used)) <= count <= instance_count(variant)

    def check_copies(self) -> None:
        """Nothing runs but the copies of components, and a base has as many as it should."""
        components = self.world.plane.components._components.values()
        bases = [one for one in components if isinstance(one, BaseComponent)]
        for base in bases:
            if base.state.status == "InService" and base.failure_reason is None:
                assert len(base.running_copies) == base.desired_copies
            if base.state.status == "InService":
                assert len(base.placements) == len(base.copies)
        copies: list[Any] = [copy for base in bases for copy in base.running_copies]
        assert sorted(map(id, self.world.running)) == sorted(map(id, copies))

    def check_room(self, variant: dict[str, Any], bases: list[BaseComponent]) -> None:
        """No instance has more copies than it has room for."""
        kept = self.world.settings.value.instance_memory_kept
        free = {at: room_on(variant["InstanceType"], kept) for at in range(instance_count(variant))}
        for base in bases:
            for instance, needed in base.placements:
                assert free[instance].hold(needed), f"{base.name} has no room on instance {instance}"
                free[instance] = free[instance].without(needed)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.pass_time(10_000)
            assert set(self.statuses().values()) <= {"InService", "Failed"}
            self.check_resources()
            self.check_copies()
            self.world.close()
        logging.getLogger("local_sagemaker").removeHandler(self.errors)


class _Gateway(Cloud):
    """The gateway to the control plane of a world."""

    def __init__(self, world: World) -> None:
        super().__init__(Path("nowhere"), world.settings.value)
        self.faults = world.faults
        self._plane = world.plane

    def plane(self) -> SageMakerControlPlane:
        return self._plane


def _given(text: str, value: Any) -> bool:
    """Whether a request itself has a text."""
    if isinstance(value, dict):
        return any(_given(text, item) or _given(text, key) for key, item in value.items())
    if isinstance(value, list):
        return any(_given(text, item) for item in value)
    return isinstance(value, str) and text in value


@pytest.mark.timeout(3600)
def test_no_sequence_of_calls_leaves_the_model() -> None:
    run_state_machine_as_test(
        cast("Any", Calls),
        settings=settings(
            # A few more, since some end before their last step.
            max_examples=CALLS // STEPS * 11 // 10 + 1,
            derandomize=not NIGHTLY,
            stateful_step_count=STEPS,
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    for operation in sorted(made):
        _log.info("%-40s %6d calls %6d succeeded", operation, made[operation], succeeded[operation])
    _log.info("%-40s %6d calls %6d succeeded", "all", made.total(), succeeded.total())
    assert made.total() >= CALLS
    assert succeeded.total() > 0.4 * made.total()
    assert not NIGHTLY or set(made) == set(+succeeded)
