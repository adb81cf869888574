"""The metrics of invocations, with the names, units and dimensions of SageMaker.

[V developer guide, "Amazon SageMaker AI metrics in Amazon CloudWatch"] Namespace AWS/SageMaker, dimensions
EndpointName and VariantName, or InferenceComponentName. Errors are 0 or 1 for each request, latencies are in
microseconds. InvocationsPerCopy has one part for each copy in use. NoCapacityInvocationFailures [V guide on
scaling to zero] counts the requests for a component without copies.

[I] An adapter's invocations count under its own name, and in what scales its base (see `adapter_load`).
"""

import time

from local_sagemaker.control_plane.component import BaseComponent, Component, base_of
from local_sagemaker.control_plane.context import Context
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
