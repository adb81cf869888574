"""Guards of the ports of the embedded cloud.

`RequestGuard` refuses requests that a web page makes a browser send. Any page can send requests to 127.0.0.1.
The browser adds headers that the page cannot change. These decide:

- `Host` should name a loopback host. A DNS name that an attacker rebinds to 127.0.0.1 is refused.
- `Origin` should be absent or the port's own.
- `Sec-Fetch-Site` is the origin of a request without `Origin`, such as the request of an image or a link
  [V, W3C Fetch Metadata]. It should be absent, `same-origin`, or `none` for an address that a person typed.

AWS clients send neither of the last two. No answer allows another origin to read it.

`AdminGuard` asks for the token of the admin paths, or for the signature that replaces it in download URLs.
"""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse

# The types of ASGI. The package `asgiref` has them, and would be a dependency for nothing else.
Scope = Any
Receive = Any
Send = Any

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\s:/?#@\\\[\]]+)(?::[0-9]+)?", re.IGNORECASE)
_PAGE_SCHEMES = {"ws": "http", "wss": "https"}
_OWN_SITES = ("same-origin", "none")
_CORS_PREFIX = b"access-control-"


def refusal(scheme: str, headers: Iterable[tuple[str, str]]) -> str | None:
    """Return the reason to refuse a request, None if it is allowed.

    scheme is the request's scheme; the names of headers are in lower case.
    """
    received: dict[str, list[str]] = {}
    for name, value in headers:
        received.setdefault(name, []).append(value)
    hosts = received.get("host", [])
    if len(hosts) != 1 or not _is_loopback(hosts[0]):
        return f"'Host' should name a loopback host, such as 127.0.0.1 or localhost, got {_quoted(hosts)}"
    own = f"{_PAGE_SCHEMES.get(scheme, scheme)}://{hosts[0]}"
    origins = received.get("origin", [])
    if any(origin.lower() != own.lower() for origin in origins):
        return (
            f"'Origin' should be absent or '{own}', got {_quoted(origins)}: web pages may not use this port"
        )
    sites = received.get("sec-fetch-site", [])
    if any(site not in _OWN_SITES for site in sites):
        return (
            f"'Sec-Fetch-Site' should be absent, 'same-origin' or 'none', got {_quoted(sites)}: "
            "web pages may not use this port"
        )
    return None


def _is_loopback(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match["name"].lower()
    # [V RFC 6761, 6.3] Names below localhost are loopback too. S3's virtual-hosted buckets have such names.
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _quoted(values: list[str]) -> str:
    return ", ".join(f"'{value}'" for value in values) or "none"


class RequestGuard:
    """An ASGI application that refuses requests of web pages and removes CORS headers from answers."""

    def __init__(self, application: Any):
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403 with the reason."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        reason = refusal(scope["scheme"], _decoded(scope["headers"]))
        if reason is None:
            await self._application(scope, receive, _without_cors(send))
        elif scope["type"] == "websocket":
            # To close a websocket before accepting it is a 403.
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _refused(HTTPStatus.FORBIDDEN, "AccessDenied", reason)(scope, receive, send)


def _refused(status: HTTPStatus, code: str, message: str) -> JSONResponse:
    """An error in the form of AWS's JSON protocols."""
    return JSONResponse({"__type": code, "message": message}, status, {"x-amzn-errortype": code})


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    return ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)


def _without_cors(send: Send) -> Send:
    async def send_without_cors(message: dict[str, Any]) -> None:
        if "headers" in message:
            kept = [header for header in message["headers"] if not header[0].lower().startswith(_CORS_PREFIX)]
            message = {**message, "headers": kept}
        await send(message)

    return send_without_cors


TOKEN_VARIABLE = "LOCAL_SAGEMAKER_TOKEN"
ADMIN_PREFIX = "/_local/"

# First parts of the admin paths: this package's, ministack's, and LocalStack's that ministack answers too.
_ADMIN_ROOTS = ("_local", "_ministack", "_localstack")
# Functions and instances send their results to these paths, without the token. The path itself contains a
# secret, as a presigned URL of AWS does.
_RESULT_PREFIXES = ("/_ministack/cfn-response/", "/_ministack/cfn-signal/")
_DOWNLOAD_PREFIXES = ("/_ministack/lambda-code/", "/_ministack/lambda-layers/")
_SIGNATURE_PARAMETER = "X-Amz-Signature"


class DownloadSigner:
    """Signs download paths, as S3 presigns the URLs that Lambda returns."""

    def __init__(self, key: str):
        self._key = key.encode()

    def signature(self, path: str) -> str:
        """The value of the parameter X-Amz-Signature for a path."""
        return hmac.new(self._key, path.encode(), hashlib.sha256).hexdigest()

    def signed(self, url: str) -> str:
        """A URL with the signature of its path; an existing signature is replaced."""
        address, _, query = url.partition("?")
        path = "/" + address.split("/", 3)[3]
        kept = [part for part in query.split("&") if part and not part.startswith(_SIGNATURE_PARAMETER)]
        return f"{address}?{'&'.join([*kept, f'{_SIGNATURE_PARAMETER}={self.signature(path)}'])}"


class AdminGuard:
    """An ASGI application that refuses requests of admin paths without the token."""

    def __init__(self, application: Any, token: str):
        self._application = application
        self._expected = f"Bearer {token}".encode()
        self._signer = DownloadSigner(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401 with the name of the missing header."""
        if scope["type"] != "http" or self._allowed(scope):
            await self._application(scope, receive, send)
            return
        message = (
            f"'{scope['path']}' needs the header 'Authorization: Bearer TOKEN', with the value of "
            f"{TOKEN_VARIABLE} that local-sagemaker printed at its start"
        )
        refused = _refused(HTTPStatus.UNAUTHORIZED, "MissingAuthenticationToken", message)
        await refused(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        path: str = scope["path"]
        if path[1:].split("/", 1)[0] not in _ADMIN_ROOTS:
            return True
        if scope["method"] == "PUT" and path.startswith(_RESULT_PREFIXES):
            return True
        if scope["method"] == "GET" and path.startswith(_DOWNLOAD_PREFIXES):
            given = parse_qs(scope["query_string"].decode("latin-1")).get(_SIGNATURE_PARAMETER, [""])[0]
            if hmac.compare_digest(given.encode(), self._signer.signature(path).encode()):
                return True
        return any(
            name.lower() == b"authorization" and hmac.compare_digest(value, self._expected)
            for name, value in scope["headers"]
        )
