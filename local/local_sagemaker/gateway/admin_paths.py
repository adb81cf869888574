"""The admin paths of the embedded cloud: HTTP with JSON, on the port of the AWS APIs.

    GET    /_local/settings   every setting with its value
    PATCH  /_local/settings   {"adapter_update": "gap"}; {"profile": "hostile"} starts from that profile;
                              400 {"error": ...} for an unknown setting or a wrong value
    GET    /_local/calls      {"CreateEndpoint": 1, ...}: API calls since the start or the last reset,
                              the calls of CloudFormation's handlers included
    DELETE /_local/calls      reset the counts
    GET    /_local/requests   {"my-adapter": 3, ...}: how many the embedded engine's servers have answered
                              since the start, also of copies and components that are gone
    POST   /_local/faults     one of
                              {"operation": "InvokeEndpoint", "code": "InternalFailure", "message": "...",
                              "status": 500, "times": 3}: the next calls fail; "operation" can be "writes"
                              or "reads" for all of either; "times": null for every call; "share": 0.5
                              for half of the calls;
                              {"operation": ..., "lost": true} without code, message and status: the
                              call has its effect, and the connection closes without an answer;
                              {"operation": ..., "seconds": 2} without these: the call takes longer;
                              "dynamodb:PutItem", "dynamodb:writes" and "dynamodb:reads" are of DynamoDB,
                              "table": "my-table" for the calls of that table alone;
                              {"component": "my-adapter", "reason": "..."}: it fails to load;
                              {"held": "my-adapter"}: a change of the component does not end: it stays in
                              Creating, Updating or Deleting;
                              {"swapped": "my-adapter", "directory": "/other/adapter", "copies": 1}: this
                              many copies answer for it with other files; without "directory" they have
                              lost it, without "copies" it is all of them; until its next update;
                              400 {"error": ...} for an unknown operation or a wrong value
    DELETE /_local/faults     clear all faults but swaps; ?held=my-adapter releases only that component

Every request needs the header `Authorization: Bearer TOKEN`, with the token that `local-sagemaker` prints at
its start. `http_guards.AdminGuard` checks it.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from local_sagemaker.control_plane.component import AdapterComponent
from local_sagemaker.control_plane.control_plane import SageMakerControlPlane
from local_sagemaker.control_plane.faults import CallFault
from local_sagemaker.errors import HostingError
from local_sagemaker.gateway.cloud import Cloud
from local_sagemaker.http_guards import ADMIN_PREFIX


def admin_application(cloud: Cloud) -> Starlette:
    """The ASGI application of the admin paths."""
    paths = _AdminPaths(cloud)
    return Starlette(
        routes=[
            Route(f"{ADMIN_PREFIX}settings", paths.read_settings, methods=["GET"]),
            Route(f"{ADMIN_PREFIX}settings", paths.change_settings, methods=["PATCH"]),
            Route(f"{ADMIN_PREFIX}calls", paths.read_calls, methods=["GET"]),
            Route(f"{ADMIN_PREFIX}calls", paths.reset_calls, methods=["DELETE"]),
            Route(f"{ADMIN_PREFIX}requests", paths.read_requests, methods=["GET"]),
            Route(f"{ADMIN_PREFIX}faults", paths.add_fault, methods=["POST"]),
            Route(f"{ADMIN_PREFIX}faults", paths.clear_faults, methods=["DELETE"]),
        ]
    )


class _AdminPaths:
    def __init__(self, cloud: Cloud):
        self._cloud = cloud
        self._settings, self._calls, self._faults = cloud.settings, cloud.throttling.calls, cloud.faults

    async def read_settings(self, _: Request) -> JSONResponse:
        return JSONResponse(dataclasses.asdict(self._settings.value))

    async def change_settings(self, request: Request) -> JSONResponse:
        try:
            changes = await _object(request)
            return JSONResponse(dataclasses.asdict(self._settings.change(changes)))
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400)

    async def read_calls(self, _: Request) -> JSONResponse:
        return JSONResponse(dict(self._calls))

    async def reset_calls(self, _: Request) -> JSONResponse:
        self._calls.clear()
        return JSONResponse({})

    async def read_requests(self, _: Request) -> JSONResponse:
        return JSONResponse(self._cloud.requests())

    async def add_fault(self, request: Request) -> JSONResponse:
        try:
            fault = await _object(request)
            if "held" in fault:
                self._faults.hold(*_strings(fault, "held"))
            elif "swapped" in fault:
                await swap((region.plane for region in self._cloud.regions()), **fault)
            elif "component" in fault:
                component, reason = _strings(fault, "component", "reason")
                self._faults.loads[component] = reason
            else:
                self._faults.calls.append(CallFault(**fault))
        except (ValueError, TypeError) as error:  # TypeError: a member is missing or unknown
            return JSONResponse({"error": f"not a fault: {error}"}, status_code=400)
        return JSONResponse({})

    async def clear_faults(self, request: Request) -> JSONResponse:
        if "held" in request.query_params:
            self._faults.release(request.query_params["held"])
        else:
            self._faults.clear()
        return JSONResponse({})


async def _object(request: Request) -> dict[str, Any]:
    content = await request.json()
    if not isinstance(content, dict):
        raise ValueError(f"the body should be a JSON object, got {content!r}")
    return content


def _strings(fault: dict[str, Any], *names: str) -> list[str]:
    """The members of a fault that has these alone; ValueError for others, and for what is no string."""
    if fault.keys() != set(names) or not all(isinstance(value, str) for value in fault.values()):
        raise ValueError(f"{' and '.join(map(repr, names))} should be strings, got {fault!r}")
    return [fault[name] for name in names]


async def swap(
    planes: Iterable[SageMakerControlPlane],
    *,
    swapped: str,
    directory: str | None = None,
    copies: int | None = None,
) -> None:
    """Load a directory under the name of an adapter, or unload the adapter, on the first copies of its base.

    No API shows such a swap. Reported of engines [V vllm #34186, #30931; T tgi #2505]: the base model, an
    earlier version or another adapter answers, or one copy has lost the adapter. The next update of the
    adapter loads its own files again.

    copies is None for all. Raises ValueError if there is no such adapter, or if the files do not load.
    """
    if copies is not None and (type(copies) is not int or copies < 1):
        raise ValueError(f"'copies' should be at least 1, got {copies!r}")
    adapter = next(filter(None, (plane.components.find(swapped) for plane in planes)), None)
    if not isinstance(adapter, AdapterComponent) or adapter.registered_as is None:
        raise ValueError(f"'swapped' should be the name of an adapter in service, got {swapped!r}")
    async with adapter.base.lock:
        for copy in adapter.base.running_copies[:copies]:
            try:
                await copy.unregister(adapter.registered_as)
                if directory is not None:
                    await copy.register(adapter.registered_as, Path(directory))
            except HostingError as error:
                raise ValueError(str(error)) from error
