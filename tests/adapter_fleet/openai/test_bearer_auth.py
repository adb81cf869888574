import asyncio
import base64
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import boto3
import httpx
import httpx2
import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import NoCredentialsError, NoRegionError

from adapter_fleet.openai.bearer_auth import BearerAuth

URL = "https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/e/inference-components/c/openai/v1"


def session(region: str = "eu-west-1", **keys: str) -> boto3.Session:
    defaults = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    return boto3.Session(region_name=region, **(defaults | keys))  # type: ignore[arg-type]


def signed(token: str) -> tuple[str, dict[str, str]]:
    """Return the address and the query of the request in a token."""
    assert token.startswith("sagemaker-api-key-")
    text = base64.b64decode(token.removeprefix("sagemaker-api-key-"), validate=True).decode()
    address, _, query = text.partition("?")
    return address, {name: value for name, (value,) in parse_qs(query, strict_parsing=True).items()}


def test_token_is_a_presigned_request_of_the_control_plane() -> None:
    token = BearerAuth(session(aws_session_token="session")).token()
    address, query = signed(token)
    assert address == "sagemaker.amazonaws.com/"
    key, _, *scope = query["X-Amz-Credential"].split("/")
    assert (key, scope) == ("key", ["eu-west-1", "sagemaker", "aws4_request"])
    assert query["X-Amz-Security-Token"] == "session"
    fixed = {"Action": "CallWithBearerToken", "Version": "1", "X-Amz-SignedHeaders": "host"}
    assert query | fixed == query
    assert len(query["X-Amz-Signature"]) == 64
    # The version comes after the signature.
    assert base64.b64decode(token.removeprefix("sagemaker-api-key-")).endswith(b"&Version=1")


@pytest.mark.parametrize("lifetime", [timedelta(seconds=1), timedelta(minutes=15), timedelta(hours=12)])
def test_lifetime_is_in_the_token(lifetime: timedelta) -> None:
    expires = f"{lifetime.total_seconds():.0f}"
    assert signed(BearerAuth(session(), lifetime=lifetime).token())[1]["X-Amz-Expires"] == expires
    assert signed(BearerAuth(session()).token())[1]["X-Amz-Expires"] == "900"


@pytest.mark.parametrize("lifetime", [timedelta(milliseconds=999), timedelta(hours=12, seconds=1)])
def test_lifetime_that_sagemaker_refuses_is_an_error(lifetime: timedelta) -> None:
    with pytest.raises(ValueError, match=f"'lifetime' should be 1 second to 12 hours, got {lifetime}"):
        BearerAuth(session(), lifetime=lifetime)


def test_session_without_credentials_or_region_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(NoCredentialsError):
        BearerAuth(boto3.Session(region_name="eu-west-1"))
    with pytest.raises(NoRegionError):
        BearerAuth(boto3.Session("key", "secret"))


class RotatingSession:
    """A session whose first credentials have expired."""

    region_name = "eu-west-1"

    def __init__(self) -> None:
        self.refreshed = 0

    def get_credentials(self) -> Any:
        return RefreshableCredentials.create_from_metadata(
            self._refresh(), refresh_using=self._refresh, method="test"
        )

    def _refresh(self) -> dict[str, str]:
        self.refreshed += 1
        return {
            "access_key": f"key{self.refreshed}",
            "secret_key": "secret",
            "token": f"session{self.refreshed}",
            "expiry_time": "2020-01-01T00:00:00Z" if self.refreshed < 2 else "2999-01-01T00:00:00Z",
        }


def test_refreshed_credentials_sign_the_next_token() -> None:
    rotating: Any = RotatingSession()
    query = signed(BearerAuth(rotating).token())[1]
    assert query["X-Amz-Credential"].startswith("key2/")
    assert query["X-Amz-Security-Token"] == "session2"


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_http_clients_take_it_as_their_auth(library: Any) -> None:
    sent: list[str] = []

    def answer(request: Any) -> Any:
        sent.append(request.headers["Authorization"])
        return library.Response(200)

    auth = BearerAuth(session())
    transport = library.MockTransport(answer)
    # The `openai` client sends its API key in the same header.
    given = {"Authorization": "Bearer of-the-client"}
    with library.Client(base_url=URL, auth=auth, transport=transport) as client:
        assert client.post("/chat/completions", headers=given, json={}).status_code == 200

    async def post() -> None:
        async with library.AsyncClient(base_url=URL, auth=auth, transport=transport) as asynchronous:
            await asynchronous.post("/chat/completions", headers=given, json={})

    asyncio.run(post())
    assert len(sent) == 2
    for header in sent:
        signed(header.removeprefix("Bearer "))


def test_secret_is_not_in_the_token() -> None:
    auth = BearerAuth(session(aws_secret_access_key="wJalrXUtnFEMI"))
    assert "wJalrXUtnFEMI" not in base64.b64decode(auth.token().removeprefix("sagemaker-api-key-")).decode()
    assert Credentials("key", "wJalrXUtnFEMI").secret_key not in repr(auth)
