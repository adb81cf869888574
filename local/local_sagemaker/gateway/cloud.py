"""Answers SageMaker requests: a control plane and a runtime for each account and region in use."""

import asyncio
import contextlib
import functools
import json
import os
import re
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ministack.app
from ministack.core.responses import StreamingResponse, get_account_id, get_region

from local_sagemaker.autoscaling.scaled_components import ScaledComponents, TrackingAlarms
from local_sagemaker.autoscaling.service import AutoScaling
from local_sagemaker.clock import Clock
from local_sagemaker.container_protocol import ENGINE_HEADER
from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.control_plane import SageMakerControlPlane
from local_sagemaker.control_plane.faults import Faults
from local_sagemaker.control_plane.tags import check_keys
from local_sagemaker.control_plane.throttling import Throttling
from local_sagemaker.errors import ApiError
from local_sagemaker.gateway import iam
from local_sagemaker.gateway.iam import S3Access
from local_sagemaker.gateway.telemetry import MinistackTelemetry
from local_sagemaker.http_guards import Receive, Send
from local_sagemaker.process_groups import ProcessGroups
from local_sagemaker.runtime.artifacts import Artifacts
from local_sagemaker.runtime.hosting import LocalHosting
from local_sagemaker.runtime.invocations import Runtime, RuntimeRequest
from local_sagemaker.runtime.metrics import CopyMetrics
from local_sagemaker.settings import CurrentSettings, Settings

# A region is the name of a folder here. [V botocore, validate_region_name] It is a label of a host's name.
_REGION = re.compile("[a-z0-9-]{1,63}")
CONTENT_TYPE = "application/x-amz-json-1.1"

Response = tuple[int, dict[str, str], Any]


@dataclass(frozen=True)
class Region:
    """What there is of one account and region."""

    account: str
    name: str
    plane: SageMakerControlPlane
    copies: CopyMetrics
    autoscaling: AutoScaling


class Cloud:
    """The control planes and runtimes of all accounts and regions in use."""

    def __init__(self, state: Path, settings: Settings):
        self.settings = CurrentSettings(settings)
        self._clock = Clock()
        self.faults = Faults()
        self.throttling = Throttling(self.settings, self._clock, self.faults)
        self._state = state
        self.process_groups = ProcessGroups(state)
        self._regions: dict[tuple[str, str], Region] = {}
        self._lock = threading.Lock()

    def plane(self) -> SageMakerControlPlane:
        """The control plane of the current request's account and region; ApiError if it names no region."""
        return self._region().plane

    def autoscaling(self) -> AutoScaling:
        """Application Auto Scaling of the current request's account and region; ApiError likewise."""
        return self._region().autoscaling

    def _region(self) -> Region:
        scope = get_account_id(), get_region()
        if not _REGION.fullmatch(scope[1]):
            # [I] The words of other services for a region that they do not know.
            message = f"Credential should be scoped to a valid region, not '{scope[1]}'."
            raise ApiError("InvalidSignatureException", message, status=403)
        # CloudFormation's handlers call this from several threads at once.
        with self._lock:
            if scope not in self._regions:
                self._regions[scope] = self._new_region(*scope)
            return self._regions[scope]

    def regions(self) -> list[Region]:
        """All accounts and regions in use."""
        with self._lock:
            return list(self._regions.values())

    def requests(self) -> Counter[str]:
        """How many requests the servers have answered, by the component's name in any account and region."""
        counted: Counter[str] = Counter()
        for region in self.regions():
            region.copies.read_logs()
            counted += region.copies.requests
        return counted

    def time_scale(self) -> float:
        """How much of its time everything takes that watches and scales."""
        return self.settings.value.time_scale

    def _new_region(self, account: str, name: str) -> Region:
        access = S3Access(os.environ["AWS_ENDPOINT_URL"], account, name)
        folder = self._state / account / name
        plane = SageMakerControlPlane(
            Context(
                account=account,
                region=name,
                settings=self.settings,
                throttling=self.throttling,
                faults=self.faults,
                clock=self._clock,
                hosting=LocalHosting(folder, Artifacts(access.as_role), self.settings, self.process_groups),
                telemetry=MinistackTelemetry(account, name, self.time_scale),
            )
        )
        autoscaling = AutoScaling(
            account=account,
            region=name,
            scalable=ScaledComponents(plane),
            alarms=TrackingAlarms(account, name),
            clock=self._clock.now,
            settings=self.settings,
        )
        copies = CopyMetrics(plane.context, plane.components, plane.endpoints)
        return Region(account, name, plane, copies, autoscaling)

    async def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
    ) -> Response:
        """Answer a request of the SageMaker API or runtime, in ministack's form."""
        invocation = RuntimeRequest.of(method, path, headers)
        operation = headers.get("x-amz-target", "").rpartition(".")[2] or f"{method} {path}"
        await self.faults.delay(operation if invocation is None else invocation.operation)
        if invocation is not None:
            return await self._invoke(invocation, headers, body, query)
        try:
            request = parse_request(body)
            if ministack.app.AUTH:
                self._authorize(operation, headers, body, query)
            check_keys(request)
            answer = self.plane().call(operation, request)
        except ApiError as error:
            return refusal(error, CONTENT_TYPE, "message")
        if self.faults.loses_answer(operation):
            return 200, {"Content-Type": CONTENT_TYPE}, lost_answer()
        return (
            200,
            {"Content-Type": CONTENT_TYPE, **self._engine(operation, request)},
            json.dumps(answer).encode(),
        )

    def _engine(self, operation: str, request: Mapping[str, Any]) -> dict[str, str]:
        """Return the header that names what serves a described component."""
        if operation != "DescribeInferenceComponent":
            return {}
        engines = self.plane().engines(request["InferenceComponentName"])
        return {ENGINE_HEADER: ", ".join(engines)} if engines else {}

    def _authorize(
        self, operation: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
    ) -> None:
        plane, conditions = self.plane(), iam.request_context(operation, body)
        for action, arn in iam.further_permissions(
            operation, body, region=plane.context.region, account=plane.context.account
        ):
            iam.authorize(headers, query, action, arn, conditions)

    async def _invoke(
        self, invocation: RuntimeRequest, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
    ) -> Response:
        authorize = functools.partial(iam.authorize, headers, query)
        try:
            answer = await Runtime(self.plane()).invoke(invocation, headers, body, authorize)
        except ApiError as error:
            return refusal(error, "application/json", "Message")
        content: Any = answer.body
        if not isinstance(content, bytes):
            content = StreamingResponse(functools.partial(send_parts, content))
        return 200, dict(answer.headers), content


def parse_request(body: bytes) -> dict[str, Any]:
    """The request of a body; ApiError if it is no JSON object."""
    try:
        request = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ApiError("SerializationException", str(error)) from error
    if not isinstance(request, dict):
        # [I] No source has the words.
        raise ApiError("SerializationException", "The body should be a JSON object.")
    return request


def refusal(error: ApiError, media_type: str, message_key: str) -> Response:
    """An error in ministack's form of an answer."""
    body = {"__type": error.code, message_key: error.message, **error.members}
    return (
        error.status,
        {"Content-Type": media_type, "x-amzn-errortype": error.code},
        json.dumps(body).encode(),
    )


def lost_answer() -> Any:
    """An answer whose connection closes before the first byte of its body."""

    async def run(_send: Any, _receive: Any) -> None:
        """Send nothing: the server closes the connection of an answer that has begun and never ends."""

    return StreamingResponse(run)


async def send_parts(parts: AsyncGenerator[bytes, None], send: Send, receive: Receive) -> None:
    """Send the parts of a body as they come, until the client disconnects.

    The request's own body should have been read.
    """
    # So the next message says that the client has disconnected.
    gone = asyncio.ensure_future(receive())
    try:
        async with contextlib.aclosing(parts):
            async for part in parts:
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        gone.cancel()
