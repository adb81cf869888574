"""Bodies that are too large are refused while they are read."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest
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


@pytest.mark.parametrize("size", [0, LIMIT])
@pytest.mark.parametrize("declared", [True, False])
def test_body_within_the_limit_is_passed_on(application: TestClient, size: int, declared: bool) -> None:
    answer = application.post("/", content=bytes(size) if declared else pieces(size))
    assert (answer.status_code, answer.text) == (200, str(size))


@pytest.mark.parametrize("declared", [True, False])
def test_body_above_the_limit_is_refused(application: TestClient, declared: bool) -> None:
    answer = application.post("/", content=bytes(LIMIT + 1) if declared else pieces(LIMIT + 1))
    assert answer.status_code == 413
    assert answer.json()["message"] == f"the body of this request should have at most {LIMIT} bytes"


@pytest.mark.parametrize(
    ("method", "path", "length"),
    [
        ("POST", "/2015-03-31/functions", REQUEST_BYTES + 1),
        ("POST", "/endpoints/llm/openai/v1/chat/completions", REQUEST_BYTES + 1),
        ("PUT", "/bucket/key", OBJECT_BYTES + 1),
    ],
)
def test_cloud_refuses_a_body_by_its_declared_length(
    cloud: LocalCloud, method: str, path: str, length: int
) -> None:
    host, _, port = cloud.url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.putrequest(method, path)
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_archive_larger_than_other_requests_is_uploaded_whole(cloud: LocalCloud, bucket: Bucket) -> None:
    size = REQUEST_BYTES + 1
    s3 = boto_client(cloud, "s3")
    s3.put_object(Bucket=bucket.name, Key="large", Body=bytes(size))
    assert s3.head_object(Bucket=bucket.name, Key="large")["ContentLength"] == size
    s3.delete_object(Bucket=bucket.name, Key="large")
