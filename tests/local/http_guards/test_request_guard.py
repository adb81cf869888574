"""What the ports of the embedded cloud refuse, by the headers that a browser adds."""

from __future__ import annotations

import http.client

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from local_sagemaker.http_guards.request_guard import RequestGuard, refusal
from local_sagemaker.server import LocalCloud

OWN = "127.0.0.1:4566"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1.2.3:80",
        "LOCALHOST:4566",
        "bucket.s3.localhost:4566",
        "[::1]:4566",
    ],
)
def test_host_that_names_this_machine_is_taken(host: str) -> None:
    assert refusal("http", [("host", host)]) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:4566",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evillocalhost",
        "evil.example/@localhost",
        "evil.example:80@localhost",
        "evil.example#.localhost",
        "0.0.0.0:4566",
        "[::]",
        "[fe80::1]",
        "127.0.0.1:port",
        "127.0.0.1 evil.example",
        "",
    ],
)
def test_host_that_names_another_machine_is_refused(host: str) -> None:
    reason = refusal("http", [("host", host)])
    assert reason is not None
    assert f"got '{host}'" in reason


@pytest.mark.parametrize("hosts", [[], [OWN, "evil.example"], [OWN, OWN]])
def test_request_without_exactly_one_host_is_refused(hosts: list[str]) -> None:
    assert refusal("http", [("host", host) for host in hosts]) is not None


@pytest.mark.parametrize(
    ("scheme", "origin"),
    [("http", f"http://{OWN}"), ("ws", f"http://{OWN}"), ("wss", f"https://{OWN}")],
)
def test_origin_of_the_port_itself_is_taken(scheme: str, origin: str) -> None:
    assert refusal(scheme, [("host", OWN), ("origin", origin)]) is None


@pytest.mark.parametrize(
    "origin",
    [
        "http://127.0.0.1:8000",  # another port of this machine
        "http://localhost:4566",
        f"https://{OWN}",
        "null",  # a file, or a page in a sandbox
        "",
    ],
)
def test_any_other_origin_is_refused(origin: str) -> None:
    reason = refusal("http", [("host", OWN), ("origin", origin)])
    assert reason is not None
    assert f"got '{origin}'" in reason


def test_rebound_name_is_refused_though_its_origin_is_its_host() -> None:
    assert refusal("http", [("host", "rebound.example:4566"), ("origin", "http://rebound.example:4566")])


@pytest.mark.parametrize("site", ["cross-site", "same-site", "unknown"])
def test_image_or_link_of_another_page_is_refused(site: str) -> None:
    reason = refusal("http", [("host", OWN), ("sec-fetch-site", site)])
    assert reason is not None
    assert f"got '{site}'" in reason


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_address_that_a_person_typed_is_taken(site: str) -> None:
    assert refusal("http", [("host", OWN), ("sec-fetch-site", site)]) is None


@pytest.fixture
def application() -> TestClient:
    """A guarded application that allows every origin."""

    async def answer(_: Request) -> PlainTextResponse:
        return PlainTextResponse("answered", headers={"Access-Control-Allow-Origin": "*", "X-Other": "kept"})

    async def accept(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("accepted")

    routes = [Route("/", answer, methods=["GET", "POST"]), WebSocketRoute("/socket", accept)]
    return TestClient(RequestGuard(Starlette(routes=routes)), base_url=f"http://{OWN}")


def test_answer_allows_no_other_origin(application: TestClient) -> None:
    answer = application.get("/")
    assert (answer.status_code, answer.text, answer.headers["X-Other"]) == (200, "answered", "kept")
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_refusal_names_the_header(application: TestClient) -> None:
    answer = application.post("/", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert answer.json()["message"].startswith("'Origin' should be absent or 'http://127.0.0.1:4566', got")


def test_web_socket_of_another_page_is_refused(application: TestClient) -> None:
    with application.websocket_connect("/socket", headers={"Host": OWN}) as socket:
        assert socket.receive_text() == "accepted"
    foreign = {"Host": OWN, "Origin": "http://127.0.0.1:8000"}
    with pytest.raises(WebSocketDisconnect), application.websocket_connect("/socket", headers=foreign):
        pass


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/2015-03-31/functions"),
        ("GET", "/?Action=CreateUser&UserName=evil&Version=2010-05-08"),
        ("OPTIONS", "/2015-03-31/functions"),
        ("POST", "/endpoints/e/invocations"),
        ("POST", "/endpoints/e/openai/v1/chat/completions"),
        ("POST", "/_local/faults"),
        ("POST", "/_ministack/reset"),
        ("GET", "/health"),
    ],
)
def test_every_path_of_the_cloud_is_closed_to_web_pages(cloud: LocalCloud, method: str, path: str) -> None:
    for header in ({"Host": "evil.example"}, {"Origin": "http://127.0.0.1:1"}):
        assert httpx.request(method, cloud.url + path, headers=header).status_code == 403


def test_answers_of_the_cloud_allow_no_origin(cloud: LocalCloud) -> None:
    for method, path in (("GET", "/"), ("OPTIONS", "/")):
        answer = httpx.request(method, cloud.url + path, headers={"Origin": cloud.url})
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_body_above_the_limit_is_refused(cloud: LocalCloud) -> None:
    connection = http.client.HTTPConnection(cloud.url.removeprefix("http://"), timeout=30)
    connection.putrequest("PUT", "/bucket/key")
    connection.putheader("Content-Length", str(2 * 1024**3 + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
