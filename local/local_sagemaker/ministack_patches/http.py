"""Answers of the HTTP port."""

import re
from collections.abc import Mapping
from html import escape
from typing import Any

import ministack.app
import ministack.core.router
from ministack.core.responses import error_response_json

from local_sagemaker.ministack_patches.internals import expect, expect_names, replaces

_UNSUPPORTED = "unsupported"
_CODE = "UnknownOperationException"
_CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/")


def install_unsupported_services() -> None:
    """A request to a service that ministack lacks is refused in words that clients show.

    Faults of ministack: its answer has neither a code nor a message where clients look for them, so that they
    show "An error occurred (400)" and nothing else; and it reads all of botocore's models, for seconds, to
    know whether AWS has such a service.
    """
    expect_names(ministack.core.router, "_is_aws_service_name")
    expect(_UNSUPPORTED not in ministack.app.SERVICE_HANDLERS, f"there is no service '{_UNSUPPORTED}'")
    ministack.core.router._is_aws_service_name = lambda _scope: True

    @replaces(ministack.app, "detect_service")
    def detect_supported(detect: Any, *arguments: Any) -> str:
        service: str = detect(*arguments)
        return service if service in ministack.app.SERVICE_HANDLERS else _UNSUPPORTED

    ministack.app.SERVICE_HANDLERS[_UNSUPPORTED] = _refuse


async def _refuse(
    method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
) -> Any:
    del method, path, body, query
    scope = _CREDENTIAL_SCOPE.search(headers.get("authorization", ""))
    message = f"The embedded cloud does not have the service '{scope[1] if scope else 'of this request'}'."
    if "form-urlencoded" in headers.get("content-type", ""):
        error = f"<Error><Type>Sender</Type><Code>{_CODE}</Code><Message>{escape(message)}</Message></Error>"
        return 400, {"Content-Type": "text/xml"}, f"<ErrorResponse>{error}</ErrorResponse>".encode()
    return error_response_json(_CODE, message, content_type="application/x-amz-json-1.1")


def install_content_type(marker_header: str) -> None:
    """Answers of the SageMaker runtime keep the container's content type.

    Fault of ministack: it overwrites the content type of every successful answer. Only the runtime sets the
    marker header.
    """

    @replaces(ministack.app, "fix_success_content_type")
    def fix_unless_runtime(fix: Any, service: str, status: int, headers: dict[str, str]) -> None:
        if marker_header not in headers:
            fix(service, status, headers)
