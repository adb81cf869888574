"""The runtime: passes InvokeEndpoint and InvokeEndpointWithResponseStream on to the copies."""

import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import unquote

import httpx

from local_sagemaker.control_plane.component import AdapterComponent, Component, base_of
from local_sagemaker.control_plane.control_plane import SageMakerControlPlane
from local_sagemaker.control_plane.endpoint_record import EndpointRecord
from local_sagemaker.control_plane.hosting_port import Copy
from local_sagemaker.errors import ApiError
from local_sagemaker.runtime import event_stream
from local_sagemaker.runtime.routing import pick_copy

_PATH = re.compile(r"/endpoints/([^/]+)/(invocations|invocations-response-stream)")

COMPONENT_HEADER = "x-amzn-sagemaker-inference-component"
VARIANT_HEADER = "x-Amzn-Invoked-Production-Variant"
_ATTRIBUTES_HEADER = "x-amzn-sagemaker-custom-attributes"
_PREFIX_ID_HEADER = "x-amzn-sagemaker-prefix-aware-id"

# Raises ApiError if the caller may not perform an action on a resource: (action, ARN).
Authorize = Callable[[str, str], None]


@dataclass(frozen=True)
class RuntimeRequest:
    """The endpoint and the operation of a runtime request."""

    endpoint: str
    operation: str

    @classmethod
    def of(cls, method: str, path: str) -> "RuntimeRequest | None":
        """The invocation of a path, None if the path is not one of the runtime."""
        match = _PATH.fullmatch(path)
        if method != "POST" or match is None:
            return None
        streamed = match[2] == "invocations-response-stream"
        return cls(unquote(match[1]), "InvokeEndpointWithResponseStream" if streamed else "InvokeEndpoint")

    @property
    def streamed(self) -> bool:
        """Whether the answer is an event stream."""
        return self.operation == "InvokeEndpointWithResponseStream"


@dataclass(frozen=True)
class RuntimeAnswer:
    """An answer: headers, then a body or the frames of an event stream."""

    headers: dict[str, str]
    body: bytes | AsyncGenerator[bytes, None]


class Runtime:
    """Invocations of one account and region."""

    def __init__(self, plane: SageMakerControlPlane):
        self._plane = plane
        self._context = plane.context

    async def invoke(
        self, invocation: RuntimeRequest, headers: Mapping[str, str], body: bytes, authorize: Authorize
    ) -> RuntimeAnswer:
        """Answer an invocation; ApiError if it is refused or the container fails."""
        self._context.traffic.admit(invocation.operation)
        endpoint = self._plane.endpoints.find(invocation.endpoint)
        serves = endpoint is not None and endpoint.status in ("InService", "Updating")
        # [V] The runtime does not ignore the case of an endpoint's name.
        if endpoint is None or not serves or endpoint.name != invocation.endpoint:
            raise _validation_error(
                f"Endpoint {invocation.endpoint} of account {self._context.account} not found."
            )
        name = headers.get(COMPONENT_HEADER)
        if name is None:
            # [T] The sentence as users quote it.
            raise _validation_error(
                "Inference Component Name header is required for endpoints to which you plan to deploy "
                "inference components. Please include Inference Component Name header or consider using "
                "SageMaker models."
            )
        authorize(invocation.operation, self._context.arn("inference-component", name))
        component = self._component(endpoint, name)
        copy = self._copy(endpoint, component, headers, body)
        adapter = component.registered_as if isinstance(component, AdapterComponent) else None

        stack = AsyncExitStack()
        try:
            response = await stack.enter_async_context(
                copy.invoke(adapter, _container_headers(headers, streamed=invocation.streamed), body)
            )
            if not response.is_success:
                await response.aread()
                raise self._model_error(component, response.status_code, response.text)
            answer_headers = {VARIANT_HEADER: component.variant}
            if _ATTRIBUTES_HEADER in response.headers:
                answer_headers[_ATTRIBUTES_HEADER] = response.headers[_ATTRIBUTES_HEADER]
            kind = response.headers.get("content-type", "application/octet-stream")
            if invocation.streamed:
                answer_headers |= {
                    "Content-Type": "application/vnd.amazon.eventstream",
                    "X-Amzn-SageMaker-Content-Type": kind,
                }
                return RuntimeAnswer(answer_headers, _frames(response, stack.pop_all()))
            return RuntimeAnswer(answer_headers | {"Content-Type": kind}, await response.aread())
        except httpx.HTTPError as error:
            raise self._model_error(component, 500, f"no answer from the container: {error!r}") from error
        finally:
            await stack.aclose()

    def _component(self, endpoint: EndpointRecord, name: str) -> Component:
        component = self._plane.components.find(name)
        if component is None or component.endpoint is not endpoint:
            raise _validation_error(f"Inference component {name} of endpoint {endpoint.name} not found.")
        if not component.state.serves:
            raise _validation_error(
                f"Inference component {name} is not in service: {component.state.status}."
            )
        return component

    def _copy(
        self, endpoint: EndpointRecord, component: Component, headers: Mapping[str, str], body: bytes
    ) -> Copy:
        base = base_of(component)
        copies = base.running_copies
        if not copies:
            raise _validation_error(f"Inference component {base.name} has no copies.")
        variant = endpoint.variant(component.variant) or {}
        return pick_copy(copies, variant.get("RoutingConfig", {}), body, headers.get(_PREFIX_ID_HEADER, ""))

    def _model_error(self, component: Component, status: int, text: str) -> ApiError:
        # [V] 424 with the container's status and message as members; the sentence is the service's.
        side = "client" if status < 500 else "server"
        return ApiError(
            "ModelError",
            f'Received {side} error ({status}) from {component.name} with message "{text}".',
            status=424,
            members={
                "OriginalStatusCode": status,
                "OriginalMessage": text,
                "LogStreamArn": f"arn:aws:logs:{self._context.region}:{self._context.account}:log-group:"
                f"/aws/sagemaker/InferenceComponents/{component.name}",
            },
        )


async def _frames(response: httpx.Response, stack: AsyncExitStack) -> AsyncGenerator[bytes, None]:
    async with stack:
        try:
            async for part in response.aiter_bytes():
                yield event_stream.event("PayloadPart", part)
        except httpx.HTTPError as error:
            message = {"Message": f"the container broke off: {error!r}", "ErrorCode": "StreamBroken"}
            yield event_stream.exception("ModelStreamError", json.dumps(message).encode())


def _container_headers(headers: Mapping[str, str], *, streamed: bool) -> dict[str, str]:
    accept = "x-amzn-sagemaker-accept" if streamed else "accept"
    passed = {
        "Content-Type": headers.get("content-type"),
        "Accept": headers.get(accept),
        "X-Amzn-SageMaker-Custom-Attributes": headers.get(_ATTRIBUTES_HEADER),
    }
    return {name: value for name, value in passed.items() if value is not None}


def _validation_error(message: str) -> ApiError:
    return ApiError("ValidationError", message)
