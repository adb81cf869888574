"""What the ports of the embedded cloud refuse, by the headers that a browser adds."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable

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
        "127.0.0.1:4566",
        "127.1.2.3:80",
        "localhost",
        "LOCALHOST:4566",
        "bucket.s3.localhost:4566",
        "[::1]",
        "[::1]:4566",
    ],
)
def test_host_that_names_this_machine_is_taken(host: str) -> None:
    assert refusal("http", [("host", host)]) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:4566",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evillocalhost",
        "evil.example/@localhost",
        "evil.example:80@localhost",
        "evil.example#.localhost",
        "0.0.0.0:4566",
        "192.168.0.1",
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
    [
        ("http", f"http://{OWN}"),
        ("https", f"https://{OWN}"),
        ("ws", f"http://{OWN}"),
        ("wss", f"https://{OWN}"),
    ],
)
def test_origin_of_the_port_itself_is_taken(scheme: str, origin: str) -> None:
    assert refusal(scheme, [("host", OWN), ("origin", origin)]) is None


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
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


Send = Callable[..., tuple[int, dict[str, str]]]


@pytest.fixture
def send(cloud: LocalCloud) -> Send:
    """Sends a request to the running cloud, with whatever headers."""

    def request(
        method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str]]:
        host, _, port = cloud.url.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request(
            method, path, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders())

    return request


FUNCTION = json.dumps(
    {
        "FunctionName": "evil",
        "Runtime": "python3.12",
        "Role": "arn:aws:iam::000000000000:role/x",
        "Handler": "m.h",
        "Code": {"ZipFile": base64.b64encode(b"").decode()},
    }
).encode()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/2015-03-31/functions", FUNCTION),
        ("GET", "/?Action=CreateUser&UserName=evil&Version=2010-05-08", None),
        ("PUT", "/evil-bucket", b""),
        ("OPTIONS", "/2015-03-31/functions", None),
        ("POST", "/endpoints/e/invocations", b"{}"),
        ("POST", "/_local/faults", b"{}"),
        ("POST", "/_ministack/reset", b""),
        ("GET", "/_ministack/health", None),
        ("GET", "/health", None),
    ],
)
@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "http://127.0.0.1:1"}, {"Sec-Fetch-Site": "same-site"}],
    ids=["rebound", "origin", "fetch"],
)
def test_every_path_of_the_cloud_is_closed_to_web_pages(
    send: Send, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> None:
    assert send(method, path, body, **headers)[0] == 403


def test_answers_of_the_cloud_allow_no_origin(send: Send, cloud: LocalCloud) -> None:
    for method, path in (("GET", "/"), ("OPTIONS", "/"), ("GET", "/health")):
        status, headers = send(method, path, Origin=cloud.url)
        assert status == 200
        assert not [name for name in headers if name.lower().startswith("access-control-")]
