"""The runtime: passes invocations and chats of the OpenAI path on to the copies.

[V developer guide, realtime-endpoints-openai-compatible] The OpenAI path passes a chat and its answer
through, streams included. It reaches one path of the container, `/v1/chat/completions`. It names the
component itself. `InvokeEndpoint` is the permission for streams as well.
"""

import json
import random
import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import httpx

from local_sagemaker.control_plane.component import AdapterComponent, Component, base_of
from local_sagemaker.control_plane.control_plane import SageMakerControlPlane
from local_sagemaker.control_plane.endpoint_record import EndpointRecord
from local_sagemaker.control_plane.ports import Copy
from local_sagemaker.control_plane.request_validation import counted_problems, header_problems
from local_sagemaker.errors import ApiError
from local_sagemaker.runtime import event_stream
from local_sagemaker.runtime.metrics import MeasuredCall, no_capacity

_PATH = re.compile(r"/endpoints/([^/]+)/(invocations|invocations-response-stream|async-invocations)")
_OPERATIONS = {
    "invocations": "InvokeEndpoint",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "async-invocations": "InvokeEndpointAsync",
}
_OPENAI_PATH = re.compile(r"/endpoints/([^/]+)(?:/inference-components/([^/]+))?/openai/v1(/.*)?")
_CHAT = "/chat/completions"

COMPONENT_HEADER = "x-amzn-sagemaker-inference-component"
VARIANT_HEADER = "x-Amzn-Invoked-Production-Variant"
_ATTRIBUTES_HEADER = "x-amzn-sagemaker-custom-attributes"
_TARGET_MODEL_HEADER = "x-amzn-sagemaker-target-model"
_TARGET_VARIANT_HEADER = "x-amzn-sagemaker-target-variant"
_TARGET_CONTAINER_HEADER = "x-amzn-sagemaker-target-container-hostname"

# [V runtime's API model] The longest body in bytes, also of streams. [I] And of chats on the OpenAI path.
LONGEST_BODY = 6_291_456

# [T AWS's blog on scaling to zero, which shows the whole error] [I] For the base's adapters as well.
NO_CAPACITY = (
    "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress "
    "(if configured) or try to increase the capacity by invoking UpdateInferenceComponentRuntimeConfig API."
)

# Raises ApiError if the caller may not perform an action on a resource: (action, ARN).
Authorize = Callable[[str, str], None]


@dataclass(frozen=True)
class RuntimeRequest:
    """What a runtime request asks for: an endpoint, one of its components, an operation.

    streamed says whether the answer is an event stream, chat whether the request came by the OpenAI path.
    """

    endpoint: str
    component: str | None
    operation: str = "InvokeEndpoint"
    streamed: bool = False
    chat: bool = False

    @classmethod
    def of(cls, method: str, path: str, headers: Mapping[str, str]) -> "RuntimeRequest | None":
        """The invocation of a path, None if the path is not one of InvokeEndpoint."""
        match = _PATH.fullmatch(path)
        if method != "POST" or match is None:
            return None
        operation = _OPERATIONS[match[2]]
        streamed = operation == "InvokeEndpointWithResponseStream"
        return cls(unquote(match[1]), headers.get(COMPONENT_HEADER), operation, streamed)

    @classmethod
    def of_chat(cls, method: str, path: str, headers: Mapping[str, str]) -> "RuntimeRequest":
        """The chat of a path for which `is_openai_path` is true; ApiError if it is no chat."""
        match = _OPENAI_PATH.fullmatch(path)
        if match is None or method != "POST" or match[3] != _CHAT:
            # [V] There is nothing else below the path. [I] No source has the words.
            raise ApiError("UnknownOperationException", f"{method} {path} was not found.", status=404)
        if COMPONENT_HEADER in headers:
            # [T stdapi.ai] The header is rejected here, whatever its value. [I] No source has the words.
            raise _validation_error(
                "Inference Component Name header is not supported on this path. Please include the Inference "
                "Component Name in the path."
            )
        return cls(match[1], match[2], chat=True)


def is_openai_path(path: str) -> bool:
    """Whether a path, without its percent-encoding, belongs to the OpenAI path of an endpoint."""
    return _OPENAI_PATH.fullmatch(path) is not None


@dataclass(frozen=True)
class RuntimeAnswer:
    """An answer: headers, then a body or the parts of a stream."""

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
        arrived = time.perf_counter()
        self._context.throttling.admit(invocation.operation)
        if len(body) > LONGEST_BODY:
            # [T] The sentence as users quote it, of a time when less was allowed. The status is its code.
            raise ApiError("413", f"HTTP content length exceeded {LONGEST_BODY} bytes.", status=413)
        _check_headers(invocation, headers)
        endpoint = self._plane.endpoints.find(invocation.endpoint)
        serves = endpoint is not None and endpoint.status in ("InService", "Updating")
        # [V] The runtime does not ignore the case of an endpoint's name.
        if endpoint is None or not serves or endpoint.name != invocation.endpoint:
            raise _validation_error(
                f"Endpoint {invocation.endpoint} of account {self._context.account} not found."
            )
        if invocation.operation == "InvokeEndpointAsync":
            # [I] No source has the words, nor whether components may be invoked so. Here none may.
            raise _validation_error(
                f"Endpoint {endpoint.name} is not an asynchronous endpoint and does not support "
                "InvokeEndpointAsync."
            )
        name = invocation.component
        if name is None:
            # [T] The sentence as users quote it. [I] The OpenAI path has the same one.
            raise _validation_error(
                "Inference Component Name header is required for endpoints to which you plan to deploy "
                "inference components. Please include Inference Component Name header or consider using "
                "SageMaker models."
            )
        authorize(invocation.operation, self._context.arn("inference-component", name))
        component = self._component(endpoint, name)
        _check_targets(endpoint, component, headers)
        copy = self._copy(endpoint, component)
        call = MeasuredCall(self._context, component, arrived)
        stack = AsyncExitStack()
        try:
            response = await stack.enter_async_context(
                self._send(copy, component, invocation, _container_headers(headers, invocation), body)
            )
            if not response.is_success:
                await response.aread()
                call.ended(response.status_code)
                raise self._model_error(component, response.status_code, response.text)
            answer_headers = {VARIANT_HEADER: component.variant}
            if _ATTRIBUTES_HEADER in response.headers:
                answer_headers[_ATTRIBUTES_HEADER] = response.headers[_ATTRIBUTES_HEADER]
            kind = response.headers.get("content-type", "application/octet-stream")
            if invocation.chat:
                parts = _parts(response, stack.pop_all(), call)
                return RuntimeAnswer(answer_headers | {"Content-Type": kind}, parts)
            if invocation.streamed:
                answer_headers |= {
                    "Content-Type": "application/vnd.amazon.eventstream",
                    "X-Amzn-SageMaker-Content-Type": kind,
                }
                return RuntimeAnswer(answer_headers, _frames(_parts(response, stack.pop_all(), call)))
            whole = await response.aread()
            call.ended(response.status_code)
            return RuntimeAnswer(answer_headers | {"Content-Type": kind}, whole)
        except httpx.HTTPError as error:
            call.ended(None)
            raise self._model_error(component, 500, f"no answer from the container: {error!r}") from error
        finally:
            await stack.aclose()

    def _send(
        self,
        copy: Copy,
        component: Component,
        invocation: RuntimeRequest,
        headers: Mapping[str, str],
        body: bytes,
    ) -> AbstractAsyncContextManager[httpx.Response]:
        adapter = component.registered_as if isinstance(component, AdapterComponent) else None
        if not invocation.chat:
            return copy.post("/invocations", adapter, headers, body)
        names_adapter = self._context.settings.value.openai_adapter == "component"
        if adapter is not None and adapter != component.name:
            body = _renamed(body, component.name, adapter)
        return copy.post(f"/v1{_CHAT}", adapter if names_adapter else None, headers, body)

    def _component(self, endpoint: EndpointRecord, name: str) -> Component:
        component = self._plane.components.find(name)
        if component is None or component.endpoint is not endpoint:
            raise _validation_error(f"Inference component {name} of endpoint {endpoint.name} not found.")
        if not component.state.serves:
            raise _validation_error(
                f"Inference component {name} is not in service: {component.state.status}."
            )
        return component

    def _copy(self, endpoint: EndpointRecord, component: Component) -> Copy:
        base = base_of(component)
        copies = base.running_copies
        if not copies:
            no_capacity(self._context, component)
            raise _validation_error(NO_CAPACITY)
        variant = endpoint.variant(component.variant) or {}
        return pick_copy(copies, variant.get("RoutingConfig", {}))

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


def _check_headers(invocation: RuntimeRequest, headers: Mapping[str, str]) -> None:
    """Refuse what does not fit the API model [V], which has no chats. [I] The words: the control plane's."""
    if invocation.chat:
        return
    problems = header_problems(invocation.operation, headers, service="sagemaker-runtime")
    if problems:
        raise _validation_error(counted_problems(problems))


async def _frames(parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield the parts of a body as events; the container's end before its time is one as well."""
    try:
        async with aclosing(parts):
            async for part in parts:
                yield event_stream.event("PayloadPart", part)
    except httpx.HTTPError as error:
        message = {"Message": f"the container broke off: {error!r}", "ErrorCode": "StreamBroken"}
        yield event_stream.exception("ModelStreamError", json.dumps(message).encode())


async def _parts(
    response: httpx.Response, stack: AsyncExitStack, call: MeasuredCall
) -> AsyncGenerator[bytes, None]:
    """Yield a body as it comes; httpx.HTTPError if the container breaks off."""
    async with stack:
        try:
            async for part in response.aiter_bytes():
                yield part
        except httpx.HTTPError:
            call.ended(None)
            raise
        finally:
            # A stream that the client leaves counts, too.
            call.ended(response.status_code)


def _renamed(body: bytes, name: str, registered: str) -> bytes:
    """A chat whose `model` is a component's name, with the name that its adapter has in the container.

    Only an update with `adapter_update="gapless"` makes the two names differ. That is an invention of this
    package, so callers should not meet it.
    """
    try:
        chat = json.loads(body)
    except ValueError:
        return body
    if not isinstance(chat, dict) or chat.get("model") != name:
        return body
    return json.dumps(chat | {"model": registered}).encode()


def _check_targets(endpoint: EndpointRecord, component: Component, headers: Mapping[str, str]) -> None:
    """Refuse what only endpoints of other kinds have, and a variant that the component is not on."""
    if _TARGET_MODEL_HEADER in headers:
        # [T amazon-sagemaker-examples #1026] The sentence is the service's.
        raise _validation_error(
            f"Endpoint {endpoint.name} is not a multi-model endpoint and does not support target model "
            "header."
        )
    if _TARGET_CONTAINER_HEADER in headers:
        # [I] After the sentence on the target model.
        raise _validation_error(
            f"Endpoint {endpoint.name} is not a multi-container endpoint and does not support target "
            "container hostname header."
        )
    variant = headers.get(_TARGET_VARIANT_HEADER, component.variant)
    if variant != component.variant:
        # [I] No source has the words, nor whether a variant may be named with a component at all.
        raise _validation_error(
            f"Variant {variant} of endpoint {endpoint.name} does not have {component.name}."
        )


def _container_headers(headers: Mapping[str, str], invocation: RuntimeRequest) -> dict[str, str]:
    accept = "x-amzn-sagemaker-accept" if invocation.streamed else "accept"
    passed = {
        "Content-Type": headers.get("content-type"),
        "Accept": headers.get(accept),
        "X-Amzn-SageMaker-Custom-Attributes": headers.get(_ATTRIBUTES_HEADER),
    }
    return {name: value for name, value in passed.items() if value is not None}


def _validation_error(message: str) -> ApiError:
    return ApiError("ValidationError", message)


def pick_copy(copies: Sequence[Copy], routing: Mapping[str, Any]) -> Copy:
    """The copy for a request: one of the copies, in their order."""
    if routing.get("RoutingStrategy") == "LEAST_OUTSTANDING_REQUESTS":
        least = min(copy.outstanding for copy in copies)
        copies = [copy for copy in copies if copy.outstanding == least]
    # A random choice among equals, or a client without concurrent requests would only reach one copy.
    return random.choice(copies)
