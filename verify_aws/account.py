"""The account: every call is recorded, and none is begun after the run was stopped."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

from adapter_fleet.openai.bearer_auth import BearerAuth
from adapter_fleet.openai.urls import base_url
from verify_aws.transcript import Transcript


class StoppedError(Exception):
    """The run was interrupted, or has used up its time."""


class RefusedError(Exception):
    """A call was refused, in the service's words."""

    def __init__(self, code: str, message: str, *, status: int, original: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.original = original
        """The status of the container's answer, if it was the container that refused."""

    @classmethod
    def of(cls, error: ClientError) -> RefusedError:
        """Return what botocore says of a refusal."""
        response: Mapping[str, Any] = error.response
        return cls(
            response["Error"].get("Code", ""),
            response["Error"].get("Message", ""),
            status=response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0),
            original=response.get("OriginalStatusCode"),
        )

    @property
    def names_transition(self) -> bool:
        """Whether the call was refused because something is still changing."""
        words = ("_IN_PROGRESS", "while it is in", "while inference component", "in status", "in state")
        return any(word in self.message for word in words)


@dataclass(frozen=True)
class HttpAnswer:
    """An answer of the OpenAI path."""

    status: int
    body: Any


class Account:
    """Calls one account in one region.

    poll_seconds is how often what changes is looked at, and metric_seconds how long metrics and log groups
    are waited for.
    """

    def __init__(
        self, session: boto3.Session, *, poll_seconds: float = 5.0, metric_seconds: float = 300.0
    ) -> None:
        self._session = session
        self._clients: dict[tuple[str, bool], Any] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._reason = ""
        self._deadline = float("inf")
        self._removing = False
        self._http = urllib3.PoolManager(ca_certs=os.environ.get("AWS_CA_BUNDLE"))
        self.poll_seconds = poll_seconds
        self.metric_seconds = metric_seconds
        self.region = session.region_name or ""
        self.transcript: Transcript | None = None

    # --- the end of a run

    def stop(self, reason: str) -> None:
        """Let no further call begin. One in progress ends, so that nothing is made that nobody knows of."""
        self._reason = self._reason or reason
        self._stop.set()

    def limit(self, seconds: float) -> None:
        """Stop by itself after some seconds."""
        self._deadline = time.monotonic() + seconds

    @contextmanager
    def removing(self) -> Iterator[None]:
        """Calls that nothing stops."""
        self._removing = True
        try:
            yield
        finally:
            self._removing = False

    def check(self) -> None:
        """Raise StoppedError if the run is over."""
        if self._removing:
            return
        if time.monotonic() > self._deadline:
            self.stop("the time limit was reached")
        if self._stop.is_set():
            raise StoppedError(self._reason)

    def wait(self, seconds: float | None = None) -> None:
        """Wait, one poll by default; StoppedError if the run ends meanwhile."""
        seconds = self.poll_seconds if seconds is None else seconds
        if self._removing:
            time.sleep(seconds)
            return
        self.check()
        self._stop.wait(min(seconds, max(0.0, self._deadline - time.monotonic())))
        self.check()

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 1800) -> float:
        """Wait until something holds, and return for how long; TimeoutError if it does not."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"waited {seconds:.0f} s in vain until {what}")
            self.wait()
        return time.monotonic() - began

    # --- calls

    def client(self, service: str, *, patient: bool = True) -> Any:
        """Return a boto3 client; a patient one repeats throttled calls."""
        with self._lock:
            if (service, patient) not in self._clients:
                retries: Any = {"mode": "standard", "total_max_attempts": 8 if patient else 1}
                config = Config(retries=retries, read_timeout=70, max_pool_connections=20)
                make: Any = self._session.client  # whose stubs want each service by its name
                self._clients[service, patient] = make(service, config=config)
            return self._clients[service, patient]

    def call(self, service: str, operation: str, *, patient: bool = True, **request: Any) -> Any:
        """Call an operation by its boto3 name; RefusedError if the service refuses it."""
        self.check()
        began = time.monotonic()
        try:
            answer = getattr(self.client(service, patient=patient), operation)(**request)
        except ClientError as error:
            refused = RefusedError.of(error)
            self._record(f"{service}.{operation}", request, began, error=refused)
            raise refused from None
        except Exception as error:
            self._record(f"{service}.{operation}", request, began, error=error)
            raise
        answer.pop("ResponseMetadata", None)
        if operation == "invoke_endpoint":
            answer["Body"] = _parsed(answer["Body"].read())
        self._record(f"{service}.{operation}", request, began, answer=answer)
        self.check()
        return answer

    def attempt(self, service: str, operation: str, **request: Any) -> str:
        """Call an operation, and return how it was answered: "accepted", or the refusal's code and words."""
        try:
            self.call(service, operation, **request)
        except RefusedError as refused:
            return self.shown(str(refused))
        return "accepted"

    def shown(self, text: str) -> str:
        """Return a text as the transcript has it."""
        return text if self.transcript is None else self.transcript.text(text)

    def chat(
        self, endpoint: str, component: str, body: Mapping[str, Any], *, signed: bool = False
    ) -> HttpAnswer:
        """Send a chat over the OpenAI path, with a bearer token or, if signed, with a usual signature."""
        self.check()
        runtime = self.client("sagemaker-runtime").meta.endpoint_url
        url = f"{base_url(runtime, endpoint=endpoint, component=component)}/chat/completions"
        content = json.dumps(body).encode()
        request = AWSRequest(method="POST", url=url, data=content)
        request.headers["Content-Type"] = "application/json"
        if signed:
            credentials = self._session.get_credentials()
            assert credentials is not None  # calls were signed with them before
            SigV4Auth(credentials, "sagemaker", self.region).add_auth(request)
        else:
            request.headers["Authorization"] = f"Bearer {BearerAuth(self._session).token()}"
        began = time.monotonic()
        response = self._http.request(
            "POST", url, body=content, headers=dict(request.headers.items()), timeout=70, retries=False
        )
        answer = HttpAnswer(response.status, _parsed(response.data))
        subject = {"component": component, "body": body, "signed": signed}
        self._record("openai.chat", subject, began, answer={"status": answer.status, "body": answer.body})
        return answer

    def pages(self, service: str, operation: str, key: str, **request: Any) -> list[Any]:
        """Return the items of every page of a listing."""
        self.check()
        began = time.monotonic()
        try:
            pages = self.client(service).get_paginator(operation).paginate(**request)
            items = [item for page in pages for item in page.get(key, [])]
        except ClientError as error:
            refused = RefusedError.of(error)
            self._record(f"{service}.{operation}", request, began, error=refused)
            raise refused from None
        self._record(f"{service}.{operation}", request, began, answer={"number": len(items)})
        return items

    def _record(self, call: str, request: Mapping[str, Any], began: float, **outcome: Any) -> None:
        if self.transcript is not None:
            self.transcript.call(call, request, seconds=time.monotonic() - began, **outcome)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
