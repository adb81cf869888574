"""Bodies that are too large are refused while they are read."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest
from botocore.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from local_sagemaker.http_guards.body_limit import OBJECT_BYTES, REQUEST_BYTES, BodyLimit
from local_sagemaker.server import LocalCloud
from tests.local.conftest import boto_client
from tests.local.stacks import Bucket

LIMIT = 1000


@pytest.fixture
def application() -> TestClient:
    """An application that says how much it was sent, behind a limit."""

    async def measure(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    limited = BodyLimit(Starlette(routes=[Route("/", measure, methods=["POST"])]), lambda _: LIMIT)
    return TestClient(limited)


def pieces(total: int) -> Iterator[bytes]:
    for _ in range(total // 100):
        yield bytes(100)
    yield bytes(total % 100)


@pytest.mark.parametrize("size", [0, 1, LIMIT])
@pytest.mark.parametrize("declared", [True, False])
def test_body_within_the_limit_is_passed_on(application: TestClient, size: int, declared: bool) -> None:
    answer = application.post("/", content=bytes(size) if declared else pieces(size))
    assert (answer.status_code, answer.text) == (200, str(size))


@pytest.mark.parametrize("declared", [True, False])
def test_body_above_the_limit_is_refused(application: TestClient, declared: bool) -> None:
    answer = application.post("/", content=bytes(LIMIT + 1) if declared else pieces(LIMIT + 1))
    assert answer.status_code == 413
    assert answer.json()["message"] == f"the body of this request should have at most {LIMIT} bytes"


def raw_status(cloud: LocalCloud, method: str, path: str, *, length: int) -> int:
    """The status that answers a request as soon as its headers declare a length, with no body sent."""
    host, _, port = cloud.url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.putrequest(method, path)
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def test_cloud_refuses_a_body_by_its_declared_length(cloud: LocalCloud) -> None:
    functions = "/2015-03-31/functions"
    chats = "/endpoints/llm/inference-components/llm-base/openai/v1/chat/completions"
    assert raw_status(cloud, "POST", functions, length=REQUEST_BYTES + 1) == 413
    assert raw_status(cloud, "POST", chats, length=REQUEST_BYTES + 1) == 413
    assert raw_status(cloud, "PUT", "/bucket/key", length=OBJECT_BYTES + 1) == 413


def test_cloud_refuses_a_body_of_undeclared_length_when_it_is_too_large(cloud: LocalCloud) -> None:
    host, _, port = cloud.url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    sent, piece = 0, bytes(1 << 20)
    connection.putrequest("POST", "/2015-03-31/functions")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    try:
        while sent < 4 * REQUEST_BYTES:
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            sent += len(piece)
    except OSError:
        pass  # the cloud has closed the connection
    connection.close()
    assert sent < 2 * REQUEST_BYTES


def test_archive_larger_than_other_requests_is_uploaded_whole(cloud: LocalCloud, bucket: Bucket) -> None:
    size = REQUEST_BYTES + 1
    s3 = boto_client(cloud, "s3", config=Config(retries={"total_max_attempts": 1}))
    s3.put_object(Bucket=bucket.name, Key="large", Body=bytes(size))
    assert s3.head_object(Bucket=bucket.name, Key="large")["ContentLength"] == size
    s3.delete_object(Bucket=bucket.name, Key="large")
