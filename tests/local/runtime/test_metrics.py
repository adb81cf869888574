"""What is measured on copies, what becomes of what they print, and what counts as a base's load."""

from collections.abc import Callable
from typing import Any

import pytest

from local_sagemaker.runtime.metrics import CopyMetrics, MeasuredCall, no_capacity
from tests.local.world import World

Serving = Callable[..., tuple[World, CopyMetrics]]
LOGS = "/aws/sagemaker/InferenceComponents/"


@pytest.fixture
def serving(world: World) -> Serving:
    """Serves a base with two copies and the adapters one and two, with settings."""

    def make(**settings: Any) -> tuple[World, CopyMetrics]:
        world.serve("one", "two", instances=2, copies=2, **settings)
        return world, CopyMetrics(world.plane.context, world.plane.components, world.plane.endpoints)

    return make


def ask(world: World, component: str, status: int | None = 200) -> None:
    call = MeasuredCall(world.plane.context, world.plane.components.get(component), 0.0)
    call.ended(status)
    call.ended(503)  # a call counts once


@pytest.mark.parametrize(("idle", "invocations"), [("zero", [0]), ("none", [])])
def test_look_measures_each_base_and_each_instance(
    serving: Serving, idle: str, invocations: list[float]
) -> None:
    world, metrics = serving(idle_invocations=idle)
    world.hosting.started[0].outstanding, world.hosting.started[1].outstanding = 3, 2
    metrics.tick()
    assert world.telemetry.values("ConcurrentRequestsPerCopy", "base") == [2.5]
    assert world.telemetry.values("InvocationsPerCopy", "base") == invocations
    assert world.telemetry.values("GPUReservation", "endpoint", "AllTraffic") == [100, 100]
    assert world.telemetry.values("MemoryUtilization", "endpoint", "AllTraffic") == [0.5, 0.5]


@pytest.mark.parametrize(
    ("adapter_load", "concurrent", "invocations", "failures"),
    [("base", [2.5], [0, 0.5], [1]), ("adapter", [0.5], [0], [])],
)
def test_load_of_adapters_may_count_for_themselves_alone(
    serving: Serving,
    adapter_load: str,
    concurrent: list[float],
    invocations: list[float],
    failures: list[float],
) -> None:
    world, metrics = serving(adapter_load=adapter_load)
    world.hosting.started[0].outstanding, world.hosting.started[0].outstanding_of_base = 5, 1
    metrics.tick()
    ask(world, "one")
    no_capacity(world.plane.context, world.plane.components.get("one"))
    assert world.telemetry.values("ConcurrentRequestsPerCopy", "base") == concurrent
    assert world.telemetry.values("InvocationsPerCopy", "base") == invocations
    assert world.telemetry.values("NoCapacityInvocationFailures", "base") == failures
    assert world.telemetry.values("NoCapacityInvocationFailures", "one") == [1]


def test_each_copy_tells_its_utilisation_as_often_as_its_endpoint_says(serving: Serving) -> None:
    world, metrics = serving()
    endpoint = world.plane.endpoints.get("endpoint")
    endpoint.config["MetricsConfig"] = {"MetricPublishFrequencyInSeconds": 10}
    metrics.tick()
    metrics.tick()
    assert world.telemetry.values("CPUUtilizationNormalized", "base") == []  # not followed before
    for _ in range(2):
        world.pass_time(10)
        metrics.tick()
    assert world.telemetry.values("CPUUtilizationNormalized", "base") == [0, 0, 0, 0]


@pytest.mark.parametrize("gpu", ["AcceleratorId", "GpuId"])
def test_enhanced_metrics_tell_the_instance_the_container_and_the_gpu(serving: Serving, gpu: str) -> None:
    world, metrics = serving(accelerator_dimension=gpu)
    world.plane.endpoints.get("endpoint").config["MetricsConfig"] = {"EnableEnhancedMetrics": True}
    for _ in range(2):
        metrics.tick()
        world.pass_time(60)
    named = {tuple(one[2])[1:] for one in world.telemetry.metrics if one[1] == "GPUUtilizationNormalized"}
    of_a_copy = ("EndpointName", "VariantName", "InstanceId", "ContainerId", gpu)
    assert named == {(), of_a_copy, ("VariantName",), ("VariantName", "InstanceId")}


def test_gpu_computes_while_there_are_requests_in_progress(serving: Serving) -> None:
    """Of two copies, one has requests at half of the looks, and the other has none."""
    world, metrics = serving()
    metrics.tick()
    for outstanding in (2, 0, 1):
        world.hosting.started[0].outstanding = outstanding
        world.pass_time(20)
        metrics.tick()
    world.hosting.started[0].outstanding = 0
    world.pass_time(60)
    metrics.tick()
    names = ("GPUUtilizationNormalized", "GPUMemoryUtilizationNormalized")
    for_copies = [world.telemetry.values(name, "base") for name in names]
    assert for_copies == [[66.7, 0, 0, 0], [90, 90, 90, 90]]
    # Both instances have a copy on their only GPU.
    on_instances = world.telemetry.values(names[0], "endpoint", "AllTraffic")
    assert on_instances == [0, 0, 33.3, 33.3, 0, 0]
    assert set(world.telemetry.values(names[1], "endpoint", "AllTraffic")[2:]) == {90}
    # So do their processors.
    assert world.telemetry.values("CPUUtilizationNormalized", "base") == for_copies[0]


@pytest.mark.parametrize(
    ("variables", "percent"),
    [
        ({}, 90),
        ({"SM_VLLM_GPU_MEMORY_UTILIZATION": "0.75"}, 75),
        ({"OPTION_GPU_MEMORY_UTILIZATION": "much"}, 90),
    ],
)
def test_engine_takes_the_memory_of_gpus_that_its_variables_say(
    world: World, variables: dict[str, str], percent: float
) -> None:
    world.create_model(**variables)
    world.create_endpoint()
    world.create_base(pass_time=10)
    metrics = CopyMetrics(world.plane.context, world.plane.components, world.plane.endpoints)
    metrics.tick()
    world.pass_time(60)
    metrics.tick()
    assert world.telemetry.values("GPUMemoryUtilizationNormalized", "base") == [percent]


def test_minutes_last_the_scaled_time(serving: Serving) -> None:
    world, metrics = serving(time_scale=0.01)
    metrics.tick()
    world.pass_time(0.7)
    metrics.tick()
    assert len(world.telemetry.values("GPUReservation", "endpoint", "AllTraffic")) == 4


@pytest.mark.parametrize("adapter_logs", ["base", "adapter"])
def test_what_a_copy_prints_is_in_its_bases_log_group_and_maybe_in_its_adapters_as_well(
    serving: Serving, adapter_logs: str
) -> None:
    world, metrics = serving(adapter_logs=adapter_logs)
    lines = ["adapter one registered", "hello", "no one-two here"]
    world.hosting.started[0].lines = lines
    metrics.tick()
    own = {"one": lines[:1]} if adapter_logs == "adapter" else {}
    groups = {"base": lines, **own}
    assert world.telemetry.logs == {(LOGS + name, "AllTraffic/1"): each for name, each in groups.items()}


def test_last_lines_of_a_copy_are_read_after_its_end(serving: Serving) -> None:
    world, metrics = serving()
    metrics.tick()
    copy = world.hosting.started[0]
    world.scale(0, pass_time=10)
    copy.lines = ["bye"]
    world.telemetry.metrics.clear()
    metrics.tick()
    metrics.tick()
    assert world.telemetry.logs[LOGS + "base", "AllTraffic/1"] == ["bye"]
    # Without copies, nothing is measured for each.
    assert world.telemetry.values("ConcurrentRequestsPerCopy", "base") == []
    assert world.telemetry.values("InvocationsPerCopy", "base") == []


def test_requests_are_counted_as_the_servers_tell_them(serving: Serving) -> None:
    world, metrics = serving()
    world.update_adapter("two", "other", pass_time=10)
    line = "INFO scheduler: answered adapter="
    of_a_caller = f"WARNING api: no such template: {line}one"
    world.hosting.started[0].lines = [f"{line}one", line, of_a_caller]
    world.hosting.started[1].lines = [f"{line}one", f"{line}two.2"]
    metrics.read_logs()
    assert metrics.requests == {"one": 2, "base": 1, "two": 1}


@pytest.mark.parametrize(
    ("status", "client", "server", "model"), [(200, 0, 0, 0), (404, 1, 0, 1), (503, 0, 1, 1), (None, 0, 1, 1)]
)
def test_invocation_counts_under_its_component_and_its_variant(
    serving: Serving, status: int | None, client: int, server: int, model: int
) -> None:
    world, _ = serving()
    ask(world, "one", status)
    for dimensions in (("one",), ("endpoint", "AllTraffic")):
        assert world.telemetry.values("Invocations", *dimensions) == [1]
        assert world.telemetry.values("Invocation4XXErrors", *dimensions) == [client]
        assert world.telemetry.values("Invocation5XXErrors", *dimensions) == [server]
        assert world.telemetry.values("InvocationModelErrors", *dimensions) == [model]
    assert world.telemetry.values("Invocations", "base") == []
    assert world.telemetry.values("InvocationsPerCopy", "one") == [0.5]
    assert world.telemetry.values("InvocationsPerCopy", "base") == [0.5]
