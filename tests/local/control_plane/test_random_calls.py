"""Random sequences of calls of SageMaker and Application Auto Scaling, with faults and alarms between them.

`make nightly` makes 20,000 other ones every time. Of every answer it is checked that the operation's model
has it: its members and values, or its error. Of every resource, that it goes from state to state as
documented. A call that fails in another way would be a 500.
"""

import copy
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from logging.handlers import BufferingHandler
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
from local_sagemaker.control_plane.endpoint_record import EndpointRecord
from local_sagemaker.control_plane.request_validation import operation_model, shape_problems
from local_sagemaker.errors import ApiError
from local_sagemaker.settings import PROFILES
from tests.local.autoscaling.scaled import PER_MINUTE, SCOPE, FakeAlarms
from tests.local.world import ROLE, World
from tests.nightly import NIGHTLY

_log = logging.getLogger(__name__)

STEPS = 50
# Within it, a component that has come into service may already be without a copy that ended.
LONG = 5
CALLS = 20_000 if NIGHTLY else 400

# [V API reference, "Common Errors"] What any operation of SageMaker may answer.
COMMON_ERRORS = {"ValidationException", "ThrottlingException", "SerializationException"}

ENDPOINT, COMPONENT = "endpoint", "inference-component"
NAME = "InferenceComponentName"
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

# What is not as in the profile `kind`, in any mixture.
HOSTILE = {
    name: value
    for name, value in vars(PROFILES["hostile"]).items()
    if name != "profile" and value != getattr(PROFILES["kind"], name)
}

ABSENT = "absent"
NAMES = {
    "model": ["model", "model-2"],
    "endpoint-config": ["endpoint-config", "config-2", "config-3"],
    "endpoint": ["endpoint", "endpoint-2"],
    "base": ["base", "base-2", "base-3"],
    "adapter": ["one", "two", "three", "four"],
}
VARIANTS: list[dict[str, Any]] = [
    {"InstanceType": "ml.g5.12xlarge"},
    {"InstanceType": "ml.g5.48xlarge"},
    {"InstanceType": "ml.m5.xlarge"},
    {"InstancePools": [{"InstanceType": "ml.g5.12xlarge", "Priority": 1}]},
    {
        "InstanceType": "ml.g5.12xlarge",
        "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 3},
    },
]
ONE_COPY = {"MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 1}, "WaitIntervalInSeconds": 20}
IN_BATCHES = {"RollingUpdatePolicy": ONE_COPY}
WATCHED = {**IN_BATCHES, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "alarm"}]}}
DEPLOYMENTS: list[dict[str, Any]] = [{}, {"DeploymentConfig": IN_BATCHES}, {"DeploymentConfig": WATCHED}]
TRACKING = {"TargetValue": 4.0, "PredefinedMetricSpecification": {"PredefinedMetricType": PER_MINUTE}}

succeeded: Counter[str] = Counter()
refused: Counter[str] = Counter()


class Calls(RuleBasedStateMachine):
    """One account. Each step is a call, after some time and maybe a fault."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = BufferingHandler(capacity=1_000)
        self.errors.setLevel(logging.ERROR)
        logging.getLogger("local_sagemaker").addHandler(self.errors)
        self.modified: dict[str, float] = {}

    @initialize(
        hostile=st.lists(st.sampled_from(sorted(HOSTILE)), unique=True),
        update_refused=st.booleans(),
        served=st.sampled_from([True, True, False]),
    )
    def begin(self, hostile: list[str], update_refused: bool, served: bool) -> None:
        self.world = World()
        self.world.change(**{name: HOSTILE[name] for name in hostile})
        if update_refused:
            self.world.change(adapter_update="refused")
        self.scaling = AutoScaling(
            account="111122223333",
            region="us-east-1",
            scalable=ScaledComponents(self.world.plane),
            alarms=FakeAlarms(),
            clock=self.world.clock.now,
            settings=self.world.settings,
        )
        if served:
            self.world.serve("one", instances=2)

    @rule(
        seed=st.integers(0, 2**32 - 1),
        seconds=st.sampled_from([0, 0, 0.05, 1, 3, 30, 700]),
    )
    def step(self, seed: int, seconds: float) -> None:
        random = Random(seed)
        self.pass_time(seconds)
        if random.random() < 0.03 and self.world.running:
            random.choice(self.world.running).die()
        if random.random() < 0.03:
            self.world.hosting.starts_that_fail.add(len(self.world.hosting.started))
        if random.random() < 0.1:
            self.world.telemetry.alarms["alarm"] = random.choice(("OK", "ALARM"))
        if random.random() < 0.2:
            self.ring(random)
        service = random.choice(("sagemaker", "sagemaker", "sagemaker", SERVICE))
        requests = self.requests(random) if service == "sagemaker" else self.scaling_requests(random)
        possible = [one for one in requests if ABSENT not in str(one)]
        operation, request = random.choice(possible if possible and random.random() < 0.95 else requests)
        self.ask(service, operation, spoiled(random, request) if random.random() < 0.15 else request)

    def requests(self, random: Random) -> list[tuple[str, dict[str, Any]]]:
        """A request of each operation; ABSENT is the name of what there is none of."""

        def new(kind: str) -> str:
            absent = [name for name in NAMES[kind] if name not in self.present(kind)]
            return random.choice(absent if absent and random.random() < 0.9 else NAMES[kind])

        def old(kind: str) -> str:
            return random.choice(self.present(kind) or [ABSENT])

        endpoint, config = {"EndpointName": old("endpoint")}, {"EndpointConfigName": old("endpoint-config")}
        base, adapter = {NAME: old("base")}, {NAME: old("adapter")}
        container = {"ArtifactUrl": f"s3://bucket/{random.choice(('1', '2', '3', 'missing', 'unloadable'))}"}
        compute = {
            "NumberOfAcceleratorDevicesRequired": random.choice((1, 1, 2, 4, 8)),
            "MinMemoryRequiredInMb": random.choice((1024, 1024, 60_000, 90_000, 400_000)),
        }
        specification = {"ModelName": old("model"), "ComputeResourceRequirements": compute}
        copies = {"CopyCount": random.choice((0, 1, 1, 2, 3, 4))}
        variant = {
            "VariantName": "AllTraffic",
            "InitialInstanceCount": random.randint(1, 3),
            **random.choice(VARIANTS),
        }
        image = {"Image": "image", "Environment": {"VERSION": str(random.randint(1, 3))}}
        create, update = "CreateInferenceComponent", "UpdateInferenceComponent"
        of_base = {"BaseInferenceComponentName": old("base"), "Container": container}
        new_base = {NAME: new("base"), **endpoint, "VariantName": "AllTraffic", "RuntimeConfig": copies}
        new_config = {"EndpointConfigName": new("endpoint-config"), "ProductionVariants": [variant]}
        retained = {"RetainAllVariantProperties": random.random() < 0.5}
        return [
            ("CreateModel", {"ModelName": new("model"), "ExecutionRoleArn": ROLE, "PrimaryContainer": image}),
            ("CreateEndpointConfig", {**new_config, "ExecutionRoleArn": ROLE}),
            ("CreateEndpoint", {"EndpointName": new("endpoint"), **config}),
            ("UpdateEndpoint", {**endpoint, **config, **retained}),
            *[(create, {**new_base, "Specification": specification})] * 3,
            *[(create, {NAME: new("adapter"), **endpoint, "Specification": of_base})] * 5,
            *[(update, {**base, "Specification": specification, **random.choice(DEPLOYMENTS)})] * 3,
            *[(update, {**adapter, "Specification": {"Container": container}})] * 3,
            *[("UpdateInferenceComponentRuntimeConfig", {**base, "DesiredRuntimeConfig": copies})] * 3,
            ("DeleteInferenceComponent", base),
            ("DeleteInferenceComponent", adapter),
            ("DeleteEndpoint", endpoint),
            ("DeleteEndpointConfig", config),
            ("DeleteModel", {"ModelName": old("model")}),
            ("DescribeInferenceComponent", random.choice((base, adapter))),
            ("DescribeEndpoint", endpoint),
            ("ListInferenceComponents", {"SortBy": random.choice(("Name", "CreationTime", "Status"))}),
        ]

    def scaling_requests(self, random: Random) -> list[tuple[str, dict[str, Any]]]:
        """A request of each operation of Application Auto Scaling, for one base."""
        base = random.choice(self.present("base") or [ABSENT])
        target = {**SCOPE, "ResourceId": f"inference-component/{base}"}
        bounds = {"MinCapacity": random.randint(0, 1), "MaxCapacity": random.randint(1, 3)}
        policy = {"PolicyName": "track", "PolicyType": "TargetTrackingScaling"}
        action = {"ScheduledActionName": "action", "Schedule": "rate(5 minutes)"}
        return [
            ("RegisterScalableTarget", {**target, **bounds}),
            ("PutScalingPolicy", {**target, **policy, "TargetTrackingScalingPolicyConfiguration": TRACKING}),
            ("PutScheduledAction", {**target, **action, "ScalableTargetAction": bounds}),
            ("DeleteScalingPolicy", {**target, "PolicyName": "track"}),
            ("DeleteScheduledAction", {**target, "ScheduledActionName": "action"}),
            ("DeregisterScalableTarget", target),
            ("DescribeScalingActivities", {"ServiceNamespace": "sagemaker"}),
        ]

    def present(self, kind: str) -> list[str]:
        """The names of what there is of a kind."""
        components = self.world.plane.components._components.values()
        kinds = {"base": BaseComponent, "adapter": AdapterComponent}
        if kind in kinds:
            return [one.name for one in components if isinstance(one, kinds[kind])]
        return [arn.rpartition("/")[2] for arn in self.world.plane.tags.all() if f":{kind}/" in arn]

    def pass_time(self, seconds: float) -> None:
        before = self.statuses()
        self.world.pass_time(seconds)
        after = self.check_changes(before, BY_TIME)
        for component in self.world.plane.components._components.values():
            created = before.get(component.arn) == "Creating" and component.state.status == "InService"
            assert not created or component.failure_reason is None or seconds > LONG, component.failure_reason
        self.on_the_loop(self.scaling.tick)
        self.check_changes(after, BY_CALL[SERVICE])

    def ring(self, random: Random) -> None:
        """Let an alarm ring for a scaling policy, if there is one."""
        policies = [policy.arn for policy in self.scaling._policies.values()]
        alarm = {"AlarmName": f"a-Alarm{random.choice(('High', 'Low'))}-1", "Threshold": 1.0}
        value = random.choice((0.0, 2.0, 50.0))
        before = self.statuses()
        if policies:
            self.on_the_loop(lambda: self.scaling.alarmed(random.choice(policies), alarm, value))
        self.check_changes(before, BY_CALL[SERVICE])

    # --- what is checked

    def ask(self, service: str, operation: str, request: dict[str, Any]) -> None:
        model = operation_model(operation, service)
        before = self.statuses()
        call = self.scaling.call if service == SERVICE else self.world.plane.call
        answer = self.on_the_loop(lambda: call(operation, request))
        if isinstance(answer, ApiError):
            refused[operation] += 1
            assert answer.code in {shape.name for shape in model.error_shapes} | COMMON_ERRORS, str(answer)
            assert 400 <= answer.status < 500
            for garbled in ("None", "object at", "{'", "Error("):
                assert garbled not in answer.message or garbled in str(request), answer.message
        else:
            succeeded[operation] += 1
            shape = model.output_shape
            assert shape_problems(shape, answer) == [] if shape is not None else answer == {}
            assert shape is None or set(shape.required_members) <= answer.keys()
        self.check_changes(before, BY_CALL.get(operation if service == "sagemaker" else SERVICE, set()))
        self.check_resources()

    def on_the_loop(self, call: Callable[[], Any]) -> Any:
        """Return what a call returns, or the ApiError that it raises."""

        async def called() -> Any:
            try:
                return call()
            except ApiError as error:
                return error

        return self.world.loop.run_until_complete(called())

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
                on_it = plane.components.bases_on(endpoint, variant["VariantName"])
                self.check_instances(endpoint, variant, on_it)
                self.check_room(variant, on_it)

    def check_instances(
        self, endpoint: EndpointRecord, variant: dict[str, Any], on_it: list[BaseComponent]
    ) -> None:
        """As many instances as the configuration says, and soon one for each copy."""
        instances = self.world.plane.endpoints.instances

        async def counts() -> tuple[int, int]:
            return instances.counts(endpoint, variant)

        current, desired = self.world.loop.run_until_complete(counts())
        used = {instance for base in on_it for instance, _ in base.placements}
        fewest = variant["InitialInstanceCount"]
        if scales_instances(variant):
            fewest = variant["ManagedInstanceScaling"].get("MinInstanceCount", 1)
        assert max(fewest, len(used)) <= desired <= instance_count(variant) >= current

    def check_room(self, variant: dict[str, Any], on_it: list[BaseComponent]) -> None:
        """No instance has more copies than it has room for."""
        kept = self.world.settings.value.instance_memory_kept
        free = {at: room_on(variant["InstanceType"], kept) for at in range(instance_count(variant))}
        for base in on_it:
            for instance, needed in base.placements:
                assert free[instance].hold(needed), f"{base.name} has no room on instance {instance}"
                free[instance] = free[instance].without(needed)

    def check_copies(self) -> None:
        """Nothing runs but the copies of components, and a base has as many as it should."""
        components = self.world.plane.components._components.values()
        found = [one for one in components if isinstance(one, BaseComponent)]
        for base in found:
            if base.state.status == "InService" and base.failure_reason is None:
                assert len(base.running_copies) == base.desired_copies
            if base.state.status == "InService":
                assert len(base.placements) == len(base.copies)
        copies: list[Any] = [copy for base in found for copy in base.running_copies]
        assert sorted(map(id, self.world.running)) == sorted(map(id, copies))

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.pass_time(10_000)
            self.world.pass_time(10_000)  # a schedule may have been due at the end
            assert set(self.statuses().values()) <= {"InService", "Failed"}
            self.check_resources()
            self.check_copies()
            self.world.close()
        logging.getLogger("local_sagemaker").removeHandler(self.errors)


def spoiled(random: Random, request: dict[str, Any]) -> dict[str, Any]:
    """A request of which a member is left out, or has a value that hardly fits."""
    made: dict[str, Any] = copy.deepcopy(request)
    holder, key = random.choice(list(places(made)))
    if isinstance(holder, dict) and random.random() < 0.5:
        del holder[key]
    else:
        holder[key] = random.choice((None, -1, "", "x" * 2000, [], {"Colour": "red"}, True, 1e30))
    return made


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every member of a request, with what holds it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from places(item)


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
    for operation in sorted(succeeded | refused):
        _log.info("%-40s %6d succeeded %6d refused", operation, succeeded[operation], refused[operation])
    assert succeeded.total() + refused.total() >= CALLS
    assert succeeded.total() > 0.4 * CALLS
    assert not NIGHTLY or not set(refused) - set(succeeded)
