"""The token of the admin paths, and the signatures that stand in for it in the URLs of downloads."""

import hashlib
import hmac
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from local_sagemaker.request_guard import Receive, Scope, Send, send_error

TOKEN_VARIABLE = "LOCAL_SAGEMAKER_TOKEN"

# The first parts of the paths: ours, ministack's own, and those it answers as LocalStack does.
_ADMIN_ROOTS = ("_local", "_ministack", "_localstack")
# Functions and instances send their results here, with no header of ours. As in the presigned URLs of AWS,
# the path itself holds what cannot be guessed.
_RESULT_PREFIXES = ("/_ministack/cfn-response/", "/_ministack/cfn-signal/")
_DOWNLOAD_PREFIXES = ("/_ministack/lambda-code/", "/_ministack/lambda-layers/")
_SIGNATURE_PARAMETER = "X-Amz-Signature"


class DownloadSigner:
    """Signs the paths of downloads, as S3 presigns the URLs that Lambda gives out."""

    def __init__(self, key: str):
        self._key = key.encode()

    def signature(self, path: str) -> str:
        """The value of the parameter X-Amz-Signature for a path."""
        return hmac.new(self._key, path.encode(), hashlib.sha256).hexdigest()

    def signed(self, url: str) -> str:
        """A URL with the signature of its path in the place of any that it has."""
        address, _, query = url.partition("?")
        path = "/" + address.split("/", 3)[3]
        kept = [part for part in query.split("&") if part and not part.startswith(_SIGNATURE_PARAMETER)]
        return f"{address}?{'&'.join([*kept, f'{_SIGNATURE_PARAMETER}={self.signature(path)}'])}"


class AdminGuard:
    """An ASGI application that passes on requests of an admin path only with the token."""

    def __init__(self, application: Any, token: str):
        self._application = application
        self._expected = f"Bearer {token}".encode()
        self._signer = DownloadSigner(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 and name the header that is missing, or let the application answer."""
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
