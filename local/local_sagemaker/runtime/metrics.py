"""The metrics of invocations, copies and instances, with the names, units and dimensions of SageMaker.

[V developer guide, "Amazon SageMaker AI metrics in Amazon CloudWatch"] Namespace AWS/SageMaker, dimensions
EndpointName and VariantName, or InferenceComponentName. Errors are 0 or 1 for each request, latencies are in
microseconds. InvocationsPerCopy has one part for each copy in use. NoCapacityInvocationFailures [V guide on
scaling to zero] counts the requests for a component without copies.

[I] An adapter's invocations count under its own name, and in what scales its base (see `adapter_load`).

[V ML blog on faster auto scaling] ConcurrentRequestsPerCopy comes several times in 10 s. Utilisation comes
once a minute, or as often as MetricPublishFrequencyInSeconds says, one value for each copy or instance: [V
guide on enhanced metrics] the SampleCount of a period is the number of copies or instances. Enhanced metrics
come with the instance, the container and the accelerator as well.

Utilisation is simulated. The GPUs and vCPUs of a copy compute for as long as it has requests in progress,
which is what "utilization" means to NVIDIA's tools. Of the GPUs' memory, a copy takes the share that its
container's variables give the engine at the start [V vLLM, gpu_memory_utilization], whatever it serves. Of
other memory, it takes what it reserves.
"""

import hashlib
import re
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local_sagemaker.control_plane.capacity import instance_resources, needed_resources
from local_sagemaker.control_plane.component import BaseComponent, Component, base_of
from local_sagemaker.control_plane.component_store import ComponentStore
from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.endpoint_record import EndpointRecord
from local_sagemaker.control_plane.endpoints import Endpoints
from local_sagemaker.control_plane.ports import Copy
from local_sagemaker.errors import logged
from local_sagemaker.monitoring.metrics import rounded

NAMESPACE = "AWS/SageMaker"
MICROSECONDS = "Microseconds"
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


def component_dimensions(component: Component) -> dict[str, str]:
    """The dimensions of a component's metrics."""
    return {"InferenceComponentName": component.name}


def variant_dimensions(component: Component) -> dict[str, str]:
    """The dimensions of the metrics of a component's variant."""
    return {"EndpointName": component.endpoint.name, "VariantName": component.variant}


def loaded(context: Context, component: Component) -> list[Component]:
    """The components that a request for one counts for in what they are scaled by."""
    base = base_of(component)
    if context.settings.value.adapter_load == "adapter" or component is base:
        return [component]
    return [component, base]


def no_capacity(context: Context, component: Component) -> None:
    """Count a request for a component without copies."""
    for one in loaded(context, component):
        context.telemetry.metric(NAMESPACE, "NoCapacityInvocationFailures", component_dimensions(one), 1.0)


class MeasuredCall:
    """One request, from its arrival to its answer's end; its metrics are published once."""

    def __init__(self, context: Context, component: Component, arrived: float):
        """`arrived` is a time of `time.perf_counter`; the copy gets the request now."""
        self._context = context
        self._component = component
        self._arrived = arrived
        self._sent = time.perf_counter()
        self._published = False

    def ended(self, status: int | None) -> None:
        """Publish the metrics of an answer with a status; None if the container broke off.

        Later calls do nothing.
        """
        if self._published:
            return
        self._published = True
        now = time.perf_counter()
        values = {
            "Invocations": 1.0,
            "Invocation4XXErrors": float(status is not None and _CLIENT_ERROR <= status < _SERVER_ERROR),
            "Invocation5XXErrors": float(status is None or status >= _SERVER_ERROR),
            "InvocationModelErrors": float(status is None or status >= _CLIENT_ERROR),
        }
        latencies = {
            "ModelLatency": rounded((now - self._sent) * 1e6),
            "OverheadLatency": rounded((self._sent - self._arrived) * 1e6),
        }
        publish = self._context.telemetry.metric
        for dimensions in (component_dimensions(self._component), variant_dimensions(self._component)):
            for name, value in values.items():
                publish(NAMESPACE, name, dimensions, value)
            for name, value in latencies.items():
                publish(NAMESPACE, name, dimensions, value, MICROSECONDS)
        self._per_copy(base_of(self._component))

    def _per_copy(self, base: BaseComponent) -> None:
        # [I] From one to three copies, the copies at the end of a request count.
        part = 1.0 / max(1, len(base.running_copies))
        for component in loaded(self._context, self._component):
            self._context.telemetry.metric(
                NAMESPACE, "InvocationsPerCopy", component_dimensions(component), part
            )


COPIES_NAMESPACE = "/aws/sagemaker/InferenceComponents"
INSTANCES_NAMESPACE = "/aws/sagemaker/Endpoints"
_PERCENT = "Percent"
_PUBLISH_SECONDS = 60.0
# [V vLLM, EngineArgs] Variables of LMI's and of vLLM's container, and what vLLM takes without them.
_GPU_MEMORY = ("OPTION_GPU_MEMORY_UTILIZATION", "SM_VLLM_GPU_MEMORY_UTILIZATION")
_GPU_MEMORY_SHARE = 0.9
# How many lines an adapter's own log stream keeps: there may be a thousand adapters.
_ADAPTER_LINES = 500

# What the embedded engine prints when an answer is complete; `model_server/scheduler.py` has the other end.
_ANSWERED = re.compile(r"INFO [\w.]+: answered adapter=(\S*)")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")


@dataclass
class _Followed:
    """A copy whose log is read, and of which component.

    looks, busy:
        How often it was looked at since the last publication, and how often it had requests in progress.
    """

    component: str
    variant: str
    looks: int = 0
    busy: int = 0
    names: dict[str, str] = field(default_factory=dict)


class CopyMetrics:
    """Measures the copies of one account and region, and passes on what they print."""

    def __init__(self, context: Context, components: ComponentStore, endpoints: Endpoints):
        self._context = context
        self._components = components
        self._endpoints = endpoints
        self._followed: dict[Copy, _Followed] = {}
        self._published: dict[str, float] = {}
        # How many the servers have answered, by component; also of components that are gone.
        self.requests: Counter[str] = Counter()

    def tick(self) -> None:
        """Measure what is due, and read what the copies have printed."""
        for endpoint in self._endpoints.all():
            with logged(f"the metrics of endpoint {endpoint.name}"):
                self._concurrency(endpoint)
                if self._due(endpoint):
                    self._utilisation(endpoint)
        self.read_logs()

    def _bases(self, endpoint: EndpointRecord, variant: dict[str, Any]) -> list[BaseComponent]:
        return self._components.bases_on(endpoint, variant["VariantName"])

    def _concurrency(self, endpoint: EndpointRecord) -> None:
        publish = self._context.telemetry.metric
        alone = self._context.settings.value.adapter_load == "adapter"
        for variant in endpoint.config["ProductionVariants"]:
            for base in self._bases(endpoint, variant):
                copies = base.running_copies
                self._look_at(copies)
                if copies:
                    # [I] Without copies there is nothing to divide by, so there is no value.
                    requests = sum(copy.outstanding_of_base if alone else copy.outstanding for copy in copies)
                    value = requests / len(copies)
                    publish(NAMESPACE, "ConcurrentRequestsPerCopy", component_dimensions(base), value)

    def _look_at(self, copies: list[Copy]) -> None:
        """Count which copies have requests in progress."""
        for copy in copies:
            if (followed := self._followed.get(copy)) is not None:
                followed.looks += 1
                followed.busy += copy.outstanding > 0

    def _due(self, endpoint: EndpointRecord) -> bool:
        """Whether the next publication is due; if so, it counts as done."""
        config, now = endpoint.config.get("MetricsConfig", {}), self._context.clock.now()
        every = float(config.get("MetricPublishFrequencyInSeconds", _PUBLISH_SECONDS))
        every *= self._context.settings.value.time_scale
        if endpoint.arn in self._published and now - self._published[endpoint.arn] < every:
            return False
        self._published[endpoint.arn] = now
        return True

    def _utilisation(self, endpoint: EndpointRecord) -> None:
        publish = self._context.telemetry.metric
        idle = self._context.settings.value.idle_invocations == "zero"
        for variant in endpoint.config["ProductionVariants"]:
            used: dict[str, float] = defaultdict(float)
            for base in self._bases(endpoint, variant):
                if idle and base.running_copies:
                    publish(NAMESPACE, "InvocationsPerCopy", component_dimensions(base), 0.0)
                for _, needed in base.placements:
                    used["GPUReservation"] += needed.accelerators
                    used["MemoryUtilization"] += needed.memory
                for copy in base.running_copies:
                    for name, amount in self._copy(base, copy).items():
                        used[name] += amount
            self._instances(endpoint, variant, used)

    def _copy(self, base: BaseComponent, copy: Copy) -> dict[str, float]:
        """Publish what a copy uses, and return what it takes of its instance, by metrics of instances."""
        followed = self._followed.get(copy)
        if followed is None:
            return {}
        busy = followed.busy / followed.looks if followed.looks else 0.0
        followed.looks = followed.busy = 0
        accelerators = needed_resources(base.specification).accelerators
        values = {"CPUUtilizationNormalized": busy}
        if accelerators:
            share = _gpu_memory_share(base.environment)
            values |= {"GPUUtilizationNormalized": busy, "GPUMemoryUtilizationNormalized": share}
        for name, value in values.items():
            for place in self._places(base, copy, int(accelerators) if name.startswith("GPU") else 0):
                self._context.telemetry.metric(
                    COPIES_NAMESPACE,
                    name,
                    component_dimensions(base) | place,
                    round(100 * value, 1),
                    _PERCENT,
                )
        return {name: accelerators * value for name, value in values.items()}

    def _places(self, base: BaseComponent, copy: Copy, accelerators: int) -> list[dict[str, str]]:
        """What a copy's values are published with in addition: nothing, and what enhanced metrics have."""
        # In a rolling update there may be more copies than placements.
        instance, _ = base.placements[base.copies.index(copy) % len(base.placements)]
        variant = {"EndpointName": base.endpoint.name, "VariantName": base.variant}
        gpu = self._context.settings.value.accelerator_dimension
        return [
            {},
            *(
                {**variant, **place, "ContainerId": f"{copy.number:064x}", **accelerator}
                for place in _instance(base.endpoint, base.variant, instance)
                for accelerator in [{gpu: str(number)} for number in range(accelerators)] or [{}]
            ),
        ]

    def _instances(
        self, endpoint: EndpointRecord, variant: dict[str, Any], used: Mapping[str, float]
    ) -> None:
        """Publish one value for each instance; what copies use is shared out evenly among them [I]."""
        count, _ = self._endpoints.instances.counts(endpoint, variant)
        has = instance_resources(variant["InstanceType"])
        of_gpus = ("GPUReservation", "GPUUtilizationNormalized", "GPUMemoryUtilizationNormalized")
        dimensions = {"EndpointName": endpoint.name, "VariantName": variant["VariantName"]}
        there = {"MemoryUtilization": has.memory, **dict.fromkeys(of_gpus, has.accelerators)}
        for name, most in there.items():
            for index in range(count if most else 0):
                value = round(min(100.0, 100 * used[name] / count / most), 1)
                for place in ({}, *_instance(endpoint, variant["VariantName"], index)):
                    self._context.telemetry.metric(
                        INSTANCES_NAMESPACE, name, dimensions | place, value, _PERCENT
                    )

    # --- what copies print

    def read_logs(self) -> None:
        """Pass on what the copies have printed since the last call."""
        for endpoint in self._endpoints.all():
            for variant in endpoint.config["ProductionVariants"]:
                for base in self._bases(endpoint, variant):
                    for copy in base.copies:
                        if copy not in self._followed:
                            self._followed[copy] = _Followed(base.name, base.variant)
        for copy, followed in list(self._followed.items()):
            ended = not copy.running
            lines = copy.new_lines()
            if lines:
                self._pass_on(copy, followed, lines)
            elif ended:
                del self._followed[copy]

    def _pass_on(self, copy: Copy, followed: _Followed, lines: list[str]) -> None:
        """Append lines to the log group of a copy's component, and count the answers that they tell.

        [I] A stream for each copy, named after the variant; no source has the names.
        """
        stream = f"{followed.variant}/{copy.number}"
        group = f"{COPIES_NAMESPACE}/"
        self._context.telemetry.log(group + followed.component, stream, lines)
        base = self._components.find(followed.component)
        if base is not None:
            # Kept for the lines of a copy that ends with its component.
            followed.names |= {
                adapter.registered_as: adapter.name
                for adapter in self._components.adapters_of(base)
                if adapter.registered_as is not None
            }
        for line in lines:
            if match := _ANSWERED.fullmatch(line):
                self.requests[followed.names.get(match[1], match[1]) or followed.component] += 1
        if self._context.settings.value.adapter_logs == "adapter":
            for name, own in _by_adapter(lines, followed.names).items():
                self._context.telemetry.log(group + name, stream, own, most=_ADAPTER_LINES)


def _instance(endpoint: EndpointRecord, variant: str, index: int) -> list[dict[str, str]]:
    """The dimension of an instance if the endpoint has enhanced metrics, and nothing otherwise."""
    if not endpoint.config.get("MetricsConfig", {}).get("EnableEnhancedMetrics"):
        return []
    return [
        {"InstanceId": f"i-{hashlib.sha256(f'{endpoint.arn}/{variant}/{index}'.encode()).hexdigest()[:17]}"}
    ]


def _gpu_memory_share(variables: Mapping[str, str]) -> float:
    """The part of its GPUs' memory that a copy takes."""
    given = next((variables[name] for name in _GPU_MEMORY if name in variables), "")
    try:
        return float(given)
    except ValueError:
        return _GPU_MEMORY_SHARE


def _by_adapter(lines: list[str], names: dict[str, str]) -> dict[str, list[str]]:
    """The lines that name each adapter."""
    found: dict[str, list[str]] = {}
    for line in lines:
        for name in {names[word] for word in _WORD.findall(line) if word in names}:
            found.setdefault(name, []).append(line)
    return found
