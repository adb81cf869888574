"""What the ports of the embedded cloud refuse, by a browser's headers, and who may use admin paths."""

import http.client

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from local_sagemaker.admin import AdminClient
from local_sagemaker.gateway.body_guard import UNDECLARED_BYTES
from local_sagemaker.http_guards import TOKEN_VARIABLE, RequestGuard, refusal
from local_sagemaker.server import LocalCloud

OWN = "127.0.0.1:4566"


@pytest.mark.parametrize("host", ["127.1.2.3:80", "LOCALHOST:4566", "bucket.s3.localhost:4566", "[::1]:4566"])
def test_host_that_names_this_machine_is_taken(host: str) -> None:
    assert refusal("http", [("host", host)]) is None


@pytest.mark.parametrize(
    ("scheme", "header", "value"),
    [
        ("http", "origin", f"http://{OWN}"),
        ("ws", "origin", f"http://{OWN}"),
        ("wss", "origin", f"https://{OWN}"),
        ("http", "sec-fetch-site", "none"),  # the address that a person typed
        ("http", "sec-fetch-site", "same-origin"),
    ],
)
def test_page_of_the_port_itself_is_taken(scheme: str, header: str, value: str) -> None:
    assert refusal(scheme, [("host", OWN), (header, value)]) is None


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
    # The origin of a rebound name is its host.
    for others in ([], [("origin", f"http://{host}")]):
        reason = refusal("http", [("host", host), *others])
        assert reason is not None
        assert f"got '{host}'" in reason


@pytest.mark.parametrize("hosts", [[], [OWN, "evil.example"], [OWN, OWN]])
def test_request_without_exactly_one_host_is_refused(hosts: list[str]) -> None:
    assert refusal("http", [("host", host) for host in hosts]) is not None


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("origin", "http://127.0.0.1:8000"),  # another port of this machine
        ("origin", "http://localhost:4566"),
        ("origin", f"https://{OWN}"),
        ("origin", "null"),  # a file, or a page in a sandbox
        ("origin", ""),
        ("sec-fetch-site", "cross-site"),  # an image or a link of another page
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "unknown"),
    ],
)
def test_any_other_origin_is_refused(header: str, value: str) -> None:
    reason = refusal("http", [("host", OWN), (header, value)])
    assert reason is not None
    assert f"got '{value}'" in reason


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


def test_body_above_the_limit_is_refused(cloud: LocalCloud) -> None:
    connection = http.client.HTTPConnection(cloud.url.removeprefix("http://"), timeout=30)
    connection.putrequest("PUT", "/bucket/key")
    connection.putheader("Content-Length", str(2 * 1024**3 + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(
    "path", ["/bucket/key", "/endpoints/e/invocations", "/endpoints/e/openai/v1/responses"]
)
def test_body_in_chunks_without_end_is_refused(cloud: LocalCloud, path: str) -> None:
    connection = http.client.HTTPConnection(cloud.url.removeprefix("http://"), timeout=30)
    connection.putrequest("POST", path)
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    for _ in range(UNDECLARED_BYTES // 1024**2 + 1):
        connection.send(b"100000\r\n" + bytes(1024**2) + b"\r\n")
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/_local/settings"),
        ("GET", "/_local"),
        ("GET", "/%5Flocal/settings"),
        ("GET", "/_local%2Fsettings"),
        ("POST", "/_ministack/reset"),
        ("GET", "/_localstack/health"),
        ("GET", "/_ministack/cfn-response/one"),
        ("POST", "/_ministack/lambda-code/000000000000/us-east-1/one"),
    ],
)
def test_admin_path_is_refused_without_the_token(cloud: LocalCloud, method: str, path: str) -> None:
    answer = httpx.request(method, cloud.url + path)
    assert answer.status_code == 401
    assert f"the value of {TOKEN_VARIABLE} that local-sagemaker printed" in answer.json()["message"]


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", "Basic {}", "{}", "bearer {}x"])
def test_admin_path_is_refused_with_anything_but_the_token(cloud: LocalCloud, sent: str) -> None:
    headers = {"Authorization": sent.format(cloud.token)}
    assert httpx.get(f"{cloud.url}/_local/settings", headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/_local/settings", "/_ministack/health"])
def test_admin_path_is_answered_with_the_token(cloud: LocalCloud, path: str) -> None:
    answer = httpx.get(cloud.url + path, headers={"Authorization": f"Bearer {cloud.token}"})
    assert (answer.status_code, type(answer.json())) == (200, dict)


def test_client_with_the_token_of_another_cloud_is_told_which_it_needs(cloud: LocalCloud) -> None:
    admin = AdminClient(cloud.url, "another")
    for call in (admin.settings, admin.clear_faults, lambda: admin.scale_waits(1)):
        with pytest.raises(PermissionError, match=TOKEN_VARIABLE):
            call()
