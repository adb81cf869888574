"""The serving process: ministack with SageMaker, its CloudFormation types and the mends put in.

`local_sagemaker.main` starts it, in a process group of its own and with the environment that ministack reads
at import. It ends, and takes its whole group along, on SIGTERM, SIGINT or when its standard input closes.
"""

import asyncio
import contextlib
import functools
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import ministack.app
from hypercorn.asyncio import serve
from hypercorn.config import Config as ServerConfig
from ministack.core import router
from ministack.core.responses import StreamingResponse, get_account_id, get_region
from ministack.services.cloudformation import provisioners

from local_sagemaker import iam
from local_sagemaker.admin import PREFIX, admin_application
from local_sagemaker.admin_guard import AdminGuard, DownloadSigner
from local_sagemaker.artifacts import Artifacts
from local_sagemaker.body_limit import OBJECT_BYTES, REQUEST_BYTES, BodyLimit
from local_sagemaker.clock import SystemClock
from local_sagemaker.cloudformation import RESOURCE_TYPES, Handlers
from local_sagemaker.control_plane import ControlPlane
from local_sagemaker.errors import ServiceError
from local_sagemaker.hosting import LocalHosting
from local_sagemaker.mends import (
    bucket_tags,
    compressed_bodies,
    conditional_changes,
    content_type,
    copied_checksums,
    deletions_during_creation,
    download_urls,
    emf,
    expect,
    exports_in_use,
    failed_custom_resources,
    failed_deletions,
    failed_events,
    failed_updates,
    lambda_errors,
    lambda_workers,
    late_logs,
    leading_keys,
    missing_objects,
    parallel_provisioning,
    retry_delays,
    runtime_api,
    s3_events,
    stopped_executions,
    table_properties,
    worker_threads,
)
from local_sagemaker.request_guard import RequestGuard
from local_sagemaker.runtime import VARIANT_HEADER, Invocation, Runtime
from local_sagemaker.s3_access import S3Access
from local_sagemaker.settings import CurrentSettings, Settings
from local_sagemaker.tags import refuse_reserved_keys
from local_sagemaker.traffic import Traffic

_TYPE_PREFIX = "AWS::SageMaker::"
_STOP_SECONDS = 1.0
_CONTROL_CONTENT_TYPE = "application/x-amz-json-1.1"

Response = tuple[int, dict[str, str], Any]


class Cloud:
    """The control planes and runtimes of all accounts and regions that are in use."""

    def __init__(self, state: Path, settings: Settings):
        self.settings = CurrentSettings(settings)
        self._clock = SystemClock()
        self.traffic = Traffic(self.settings, self._clock)
        self._state = state
        self._planes: dict[tuple[str, str], ControlPlane] = {}
        self._lock = threading.Lock()

    def plane(self) -> ControlPlane:
        """The control plane of the account and region of the request in hand."""
        scope = get_account_id(), get_region()
        # CloudFormation's handlers ask from threads, two of them at once as well.
        with self._lock:
            if scope not in self._planes:
                self._planes[scope] = self._new_plane(*scope)
            return self._planes[scope]

    def _new_plane(self, account: str, region: str) -> ControlPlane:
        access = S3Access(os.environ["AWS_ENDPOINT_URL"], account, region)
        return ControlPlane(
            account=account,
            region=region,
            settings=self.settings,
            traffic=self.traffic,
            clock=self._clock,
            hosting=LocalHosting(self._state / account / region, Artifacts(access.as_role), self.settings),
        )

    def tagged_resources(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Every resource of the request's account and region, with its tags."""
        return iter(self.plane().tags.all().items())

    async def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
    ) -> Response:
        """Answer a request of the SageMaker API or runtime, as ministack wants it answered."""
        invocation = Invocation.of(method, path)
        if invocation is not None:
            return await self._invoke(invocation, headers, body, query)
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        try:
            if ministack.app.AUTH:
                self._authorize(operation, headers, body, query)
            request = json.loads(body or b"{}")
            refuse_reserved_keys(request if isinstance(request, dict) else {})
            answer = self.plane().call(operation, request)
            if self.traffic.loses_answer(operation):
                return 200, {"Content-Type": _CONTROL_CONTENT_TYPE}, _broken()
        except ServiceError as error:
            return _refusal(error, _CONTROL_CONTENT_TYPE, "message")
        except json.JSONDecodeError as error:
            return _refusal(
                ServiceError("SerializationException", str(error)), _CONTROL_CONTENT_TYPE, "message"
            )
        return 200, {"Content-Type": _CONTROL_CONTENT_TYPE}, json.dumps(answer).encode()

    def _authorize(
        self, operation: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
    ) -> None:
        plane, context = self.plane(), iam.request_context(operation, body)
        for action, arn in iam.further_permissions(
            operation, body, region=plane.region, account=plane.account
        ):
            iam.authorize(headers, query, action, arn, context)

    async def _invoke(
        self, invocation: Invocation, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
    ) -> Response:
        authorize = functools.partial(iam.authorize, headers, query)
        try:
            answer = await Runtime(self.plane()).invoke(invocation, headers, body, authorize)
        except ServiceError as error:
            return _refusal(error, "application/json", "Message")
        content = answer.body
        return 200, dict(answer.headers), content if isinstance(content, bytes) else _streaming(content)


def _refusal(error: ServiceError, media_type: str, message_key: str) -> Response:
    body = {"__type": error.code, message_key: error.message, **error.members}
    return (
        error.status,
        {"Content-Type": media_type, "x-amzn-errortype": error.code},
        json.dumps(body).encode(),
    )


def _broken() -> Any:
    """An answer whose connection closes before there is anything in it."""

    async def run(_send: Any, _receive: Any) -> None:
        """Do nothing: the server closes a connection whose answer was begun and not ended."""

    return StreamingResponse(run)


def _streaming(frames: AsyncGenerator[bytes, None]) -> Any:
    async def run(send: Any, receive: Any) -> None:
        # The request has been read: the next thing to receive is that the client is gone.
        gone = asyncio.ensure_future(receive())
        try:
            async with contextlib.aclosing(frames):
                async for frame in frames:
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()

    return StreamingResponse(run)


def install(cloud: Cloud, signer: DownloadSigner, *, parallel: bool = False) -> None:
    """Put SageMaker and the mends into ministack; UnknownMinistackError when it is built differently."""
    for holder, name in (
        (ministack.app, "SERVICE_HANDLERS"),
        (router, "SERVICE_PATTERNS"),
        (provisioners, "_RESOURCE_HANDLERS"),
        (provisioners, "_REPLACING_PROPERTIES"),
        (provisioners, "_CUSTOM_NAME_REPLACEMENT"),
        (provisioners, "_STACK_TAG_PROPERTY"),
    ):
        expect(isinstance(getattr(holder, name, None), dict), f"{name} is a dictionary")
    for name in ("app", "AUTH", "_MAIN_LOOP"):
        expect(hasattr(ministack.app, name), f"app.{name} exists")
    expect("sagemaker" not in ministack.app.SERVICE_HANDLERS, "ministack has no SageMaker of its own")
    ministack.app.SERVICE_HANDLERS["sagemaker"] = cloud.handle
    router.SERVICE_PATTERNS["sagemaker"] = {"target_prefixes": ["SageMaker."], "host_patterns": []}
    for resource in RESOURCE_TYPES:
        handlers = Handlers(resource, cloud.plane, lambda: ministack.app._MAIN_LOOP)
        name = resource.cloudformation_type
        provisioners._RESOURCE_HANDLERS[name] = {
            "create": handlers.create,
            "update": handlers.update,
            "delete": handlers.delete,
        }
        provisioners._REPLACING_PROPERTIES[name] = resource.create_only
        provisioners._STACK_TAG_PROPERTY[name] = ("Tags", "list")
        if resource.create_only:
            provisioners._CUSTOM_NAME_REPLACEMENT[name] = {"name": resource.name}
    bucket_tags.install()
    table_properties.install()
    failed_events.install()
    missing_objects.install()
    leading_keys.install()
    s3_events.install()
    copied_checksums.install()
    late_logs.install()
    emf.install()
    lambda_errors.install()
    lambda_workers.install()
    retry_delays.install()
    stopped_executions.install()
    failed_custom_resources.install()
    failed_deletions.install()
    exports_in_use.install()
    conditional_changes.install()
    worker_threads.install(_TYPE_PREFIX)
    failed_updates.install(_TYPE_PREFIX)
    if parallel:
        parallel_provisioning.install()
    deletions_during_creation.install()
    content_type.install(VARIANT_HEADER)
    compressed_bodies.install(REQUEST_BYTES)
    download_urls.install(signer)
    runtime_api.install()
    iam.install(cloud.tagged_resources)


def guarded_application(cloud: Cloud, token: str) -> Any:
    """Everything that the port answers, behind what it refuses."""
    admin = admin_application(cloud.settings, cloud.traffic)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await admin(scope, receive, send)
        else:
            await ministack.app.app(scope, receive, send)

    return RequestGuard(AdminGuard(BodyLimit(application, _body_limit), token))


def _body_limit(scope: Any) -> int:
    """The bytes that a request may have: those of an object in S3, or those of any other request."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    service = router.detect_service(scope["method"], scope["path"], headers, query)
    return OBJECT_BYTES if service == "s3" else REQUEST_BYTES


async def _serve(port: int, cloud: Cloud, token: str, *, tls: bool) -> None:
    application = guarded_application(cloud, token)
    config = ServerConfig()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.5
    if tls:
        config.certfile = os.environ["MINISTACK_SSL_CERT"]
        config.keyfile = os.environ["MINISTACK_SSL_KEY"]

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(sys.stdin.fileno(), stop.set)
    server = loop.create_task(serve(application, config, shutdown_trigger=stop.wait))
    stopping = loop.create_task(stop.wait())
    await asyncio.wait({server, stopping}, return_when=asyncio.FIRST_COMPLETED)
    # TLS connections may take half a minute to close: there is nothing in them to wait for.
    await asyncio.wait({server}, timeout=_STOP_SECONDS)
    if server.done():
        server.result()


def main() -> None:
    """Serve until told to stop.

    The one argument is the configuration as JSON. The token of the admin paths is the first line of the
    standard input: other users of the machine can read arguments, and functions inherit the environment.
    """
    configuration = json.loads(sys.argv[1])
    token = sys.stdin.readline().strip()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    cloud = Cloud(Path(configuration["state"]), Settings().changed(configuration["settings"]))
    install(cloud, DownloadSigner(token), parallel=configuration["parallel"])
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_serve(configuration["port"], cloud, token, tls=configuration["tls"]))
    # Deployments under way have threads that wait for processes: model servers, Lambda workers. All of them
    # are in this process's group, and none has anything to save.
    sys.stdout.flush()
    sys.stderr.flush()
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
