"""The token of the admin paths, and the signatures that replace it in download URLs."""

import hashlib
import hmac
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from local_sagemaker.http_guards.request_guard import Receive, Scope, Send, send_error

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
        await send_error(send, HTTPStatus.UNAUTHORIZED, "MissingAuthenticationToken", message)

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
