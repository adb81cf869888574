"""Bearer tokens for SageMaker's OpenAI path, signed with the credentials that boto3 finds.

A token is a presigned request for `sagemaker:CallWithBearerToken`, in Base64. Signing needs no network.
https://docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints-openai-compatible.html
"""

from __future__ import annotations

import base64
from collections.abc import MutableMapping
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import NoCredentialsError, NoRegionError

if TYPE_CHECKING:
    import boto3

LONGEST = timedelta(hours=12)
"""The longest that SageMaker accepts a token, counted from its signature."""

_PREFIX = "sagemaker-api-key-"
_SERVICE = "sagemaker"
_HOST = "sagemaker.amazonaws.com"
"""The host of the signed request, in every region."""


class _HttpRequest(Protocol):
    @property
    def headers(self) -> MutableMapping[str, str]: ...


Request = TypeVar("Request", bound=_HttpRequest)


class BearerAuth:
    """Signs a new bearer token for each request of an HTTP client or of the `openai` client.

    It can be the `auth` of `httpx`, `httpx2` and `requests`, and needs none of them.

    session:
        Has the credentials and the region. Default: boto3's default session.
    lifetime:
        How long a token is valid, 1 second to 12 hours, or until the credentials end. Default: 15 minutes.

    Raises NoCredentialsError or NoRegionError if the session has no credentials or no region.

    Example::

        auth = BearerAuth()
        client = OpenAI(base_url=base_url, api_key=auth.token)
        other = httpx.Client(base_url=base_url, auth=auth)
    """

    def __init__(
        self, session: boto3.Session | None = None, *, lifetime: timedelta = timedelta(minutes=15)
    ) -> None:
        if session is None:
            # Imported here: it takes long, and callers with a session do without.
            import boto3

            session = boto3.Session()
        if not timedelta(seconds=1) <= lifetime <= LONGEST:
            raise ValueError(f"'lifetime' should be 1 second to 12 hours, got {lifetime}")
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        if not session.region_name:
            raise NoRegionError
        self._credentials, self._region = credentials, session.region_name
        self._seconds = int(lifetime.total_seconds())

    def token(self) -> str:
        """Sign a token. Whoever has it has its signer's rights: keep it out of logs and files."""
        request = AWSRequest(
            method="POST",
            url=f"https://{_HOST}/",
            headers={"host": _HOST},
            params={"Action": "CallWithBearerToken"},
        )
        # Frozen, so that key, secret and session token are of one refresh.
        credentials = self._credentials.get_frozen_credentials()
        SigV4QueryAuth(credentials, _SERVICE, self._region, expires=self._seconds).add_auth(request)
        assert request.url is not None  # it was given
        signed = f"{request.url.removeprefix('https://')}&Version=1"
        return _PREFIX + base64.b64encode(signed.encode()).decode()

    def __call__(self, request: Request) -> Request:
        """Put a new token into a request, and return the request."""
        request.headers["Authorization"] = f"Bearer {self.token()}"
        return request
