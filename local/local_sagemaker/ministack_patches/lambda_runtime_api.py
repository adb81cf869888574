"""The port of a custom runtime's Runtime API refuses web pages, like every port of this cloud.

Fault of ministack: any web page can read events from it.
"""

import http.server
from http import HTTPStatus
from typing import Any

from ministack.core import lambda_runtime

from local_sagemaker.http_guards.request_guard import refusal
from local_sagemaker.ministack_patches.internals import expect


def install() -> None:
    """Check the headers of each request to the Runtime API."""
    worker = getattr(lambda_runtime, "ProvidedWorker", None)
    expect(hasattr(worker, "_build_handler_class"), "ProvidedWorker._build_handler_class returns the handler")
    assert worker is not None  # for the type checker
    build = worker._build_handler_class

    def build_guarded(self: Any, generation: int, pending: Any) -> Any:
        return guarded(build(self, generation, pending))

    worker._build_handler_class = build_guarded


def guarded(handler: type[http.server.BaseHTTPRequestHandler]) -> type[http.server.BaseHTTPRequestHandler]:
    """A handler that answers 403 to requests that the request guard refuses."""

    class GuardedHandler(handler):  # type: ignore[misc, valid-type]
        def parse_request(self) -> bool:
            if not super().parse_request():
                return False
            headers = ((name.lower(), value) for name, value in self.headers.items())
            reason = refusal("http", headers)
            if reason is not None:
                self.close_connection = True
                self.send_error(HTTPStatus.FORBIDDEN, explain=reason)
            return reason is None

    return GuardedHandler
