"""The admin path of the embedded cloud: HTTP with JSON, on the same port, for tests, demos and the curious.

    GET    /_local/settings   every setting with its value
    PATCH  /_local/settings   {"adapter_update": "gap"}; {"profile": "hostile"} starts from that profile;
                              400 {"error": ...} for an unknown setting or a wrong value
    GET    /_local/calls      {"CreateEndpoint": 1, ...}: API calls since the start or the last reset,
                              those of the CloudFormation handlers included
    DELETE /_local/calls      start counting again
    POST   /_local/faults     one of
                              {"operation": "InvokeEndpoint", "code": "InternalFailure", "message": "...",
                              "status": 500, "times": 3}: the next calls fail; the operation can be "writes"
                              or "reads" for all of either; "times": null for as many as come; "share": 0.5
                              for half of the calls; "seconds": 10 for that long;
                              {"operation": ..., "lost": true} in the place of code, message and status: the
                              call is done, and the connection closes without an answer;
                              {"component": "my-adapter", "reason": "..."} or {"artifact": "s3://...",
                              "reason": "..."}: it fails to load;
                              {"held": "my-adapter"}: what is done to a component does not end: it stays in
                              Creating, Updating or Deleting;
                              400 {"error": ...} for an unknown operation or a wrong value
    DELETE /_local/faults     no faults any more; ?held=my-adapter releases that component alone

Every request needs the header `Authorization: Bearer TOKEN`, with the token that `local-sagemaker` prints at
its start. `admin_guard` checks it.
"""

import dataclasses
import ssl
from typing import Any
from urllib.parse import urlencode

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from local_sagemaker.settings import CurrentSettings
from local_sagemaker.traffic import CallFault, Traffic, is_write

PREFIX = "/_local/"


def admin_application(settings: CurrentSettings, traffic: Traffic) -> Starlette:
    """The ASGI application that answers the admin path."""

    async def read_settings(_: Request) -> JSONResponse:
        return JSONResponse(dataclasses.asdict(settings.value))

    async def change_settings(request: Request) -> JSONResponse:
        try:
            return JSONResponse(dataclasses.asdict(settings.change(await _object(request))))
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400)

    async def read_calls(_: Request) -> JSONResponse:
        return JSONResponse(dict(traffic.calls))

    async def reset_calls(_: Request) -> JSONResponse:
        traffic.calls.clear()
        return JSONResponse({})

    async def add_fault(request: Request) -> JSONResponse:
        try:
            fault = await _object(request)
            if "held" in fault:
                traffic.hold(_held(**fault))
            elif "component" in fault or "artifact" in fault:
                what, reason = _load_fault(**fault)
                traffic.load_faults[what] = reason
            else:
                traffic.inject(CallFault(**fault))
        except (ValueError, TypeError) as error:  # TypeError: a member is missing or unknown
            return JSONResponse({"error": f"not a fault: {error}"}, status_code=400)
        return JSONResponse({})

    async def clear_faults(request: Request) -> JSONResponse:
        if "held" in request.query_params:
            traffic.release(request.query_params["held"])
        else:
            traffic.clear_faults()
        return JSONResponse({})

    return Starlette(
        routes=[
            Route("/_local/settings", read_settings, methods=["GET"]),
            Route("/_local/settings", change_settings, methods=["PATCH"]),
            Route("/_local/calls", read_calls, methods=["GET"]),
            Route("/_local/calls", reset_calls, methods=["DELETE"]),
            Route("/_local/faults", add_fault, methods=["POST"]),
            Route("/_local/faults", clear_faults, methods=["DELETE"]),
        ]
    )


async def _object(request: Request) -> dict[str, Any]:
    content = await request.json()
    if not isinstance(content, dict):
        raise ValueError(f"the body should be a JSON object, got {content!r}")
    return content


def _load_fault(*, reason: str, component: str | None = None, artifact: str | None = None) -> tuple[str, str]:
    what = artifact if component is None else component
    if (component is None) == (artifact is None) or not isinstance(what, str) or not isinstance(reason, str):
        raise ValueError(
            "one of 'component' and 'artifact', and 'reason', should be texts, got "
            f"{component!r}, {artifact!r} and {reason!r}"
        )
    return what, reason


def _held(*, held: str) -> str:
    if not isinstance(held, str):
        raise ValueError(f"'held' should be the name of a component, got {held!r}")
    return held


class AdminClient:
    """The admin path from another process.

    url and token are what `local-sagemaker` prints as AWS_ENDPOINT_URL and LOCAL_SAGEMAKER_TOKEN.
    Every method raises PermissionError when the token is another cloud's.
    """

    def __init__(self, url: str, token: str, ca_bundle: str | None = None):
        verify = ssl.create_default_context(cafile=ca_bundle) if ca_bundle else True
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=url, headers=headers, verify=verify, trust_env=False)

    def settings(self) -> dict[str, Any]:
        """Every setting with its value."""
        return self._call("GET", "settings")

    def change_settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings and return all of them; ValueError for an unknown one or a wrong value."""
        return self._call("PATCH", "settings", changes)

    def calls(self) -> dict[str, int]:
        """API calls by operation since the start or the last reset."""
        return self._call("GET", "calls")

    def writes(self) -> dict[str, int]:
        """The calls that change something."""
        return {operation: count for operation, count in self.calls().items() if is_write(operation)}

    def reset_calls(self) -> None:
        """Start counting again."""
        self._call("DELETE", "calls")

    def fail_calls(
        self,
        operation: str,
        *,
        code: str,
        message: str = "injected",
        status: int = 400,
        times: int | None = 1,
        share: float = 1.0,
        seconds: float | None = None,
    ) -> None:
        """Let calls of an operation, of all "writes" or of all "reads" fail.

        times is how many at most, None as many as come; share which part of the calls; seconds for how long.
        """
        fault = {"operation": operation, "code": code, "message": message, "status": status}
        self._call("POST", "faults", fault | {"times": times, "share": share, "seconds": seconds})

    def lose_answers(
        self, operation: str, *, times: int | None = 1, share: float = 1.0, seconds: float | None = None
    ) -> None:
        """Let calls be done and the connection close without an answer; botocore's default is to retry."""
        fault = {"operation": operation, "lost": True}
        self._call("POST", "faults", fault | {"times": times, "share": share, "seconds": seconds})

    def fail_load(self, component: str | None = None, *, artifact: str | None = None, reason: str) -> None:
        """Let a component's artifact, or the artifact with a URL, fail to load until faults are cleared."""
        what = {"component": component, "artifact": artifact, "reason": reason}
        self._call("POST", "faults", {name: value for name, value in what.items() if value is not None})

    def hold(self, component: str) -> None:
        """Let whatever is done to a component not end: it stays in Creating, Updating or Deleting."""
        self._call("POST", "faults", {"held": component})

    def release(self, component: str) -> None:
        """Let a held component go on; clear_faults does it for all."""
        self._call("DELETE", f"faults?{urlencode({'held': component})}")

    def scale_waits(self, scale: float) -> None:
        """Let state machines wait, between retries too, for a share of their time; 1 is all of it, 0 none."""
        content = self._send("POST", "/_ministack/config", {"stepfunctions._SFN_WAIT_SCALE": scale})
        if not content["applied"]:
            raise ValueError(f"'scale' should be a number of at least 0, got {scale!r}")

    def clear_faults(self) -> None:
        """No faults any more."""
        self._call("DELETE", "faults")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._send(method, PREFIX + path, body)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        answer = self._client.request(method, path, json=body)
        content: dict[str, Any] = answer.json()
        if answer.status_code == 400:
            raise ValueError(content["error"])
        if answer.status_code == 401:
            raise PermissionError(content["message"])
        answer.raise_for_status()
        return content
