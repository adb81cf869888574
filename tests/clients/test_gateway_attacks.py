"""Nothing that a tenant sends through LiteLLM's real proxy reaches another component, on any path."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3
import yaml

from local_sagemaker.runtime.event_stream import event
from tests.clients.gateway_attacks import ATTACKS, CLOSED, ENDPOINT, FOREIGN_PATHS, PATHS, Attack
from tests.clients.litellm_proxy import CONFIG, KEYS, START, proxy

pytestmark = pytest.mark.timeout(900)

OWN = {"comp-acme", "cand-acme"}
"""The component of `acme`, and its candidate."""


@dataclass
class Backend:
    """A table with the routes of two adapters, and an endpoint that records what leaves the proxy."""

    port: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, bytes]:
        """Return an answer and its type, as of DynamoDB or of an endpoint."""
        if headers.get("x-amz-target", "").startswith("DynamoDB"):
            adapter = json.loads(body)["Key"]["pk"]["S"].removeprefix("route#")
            names = {"component": {"S": f"comp-{adapter}"}, "candidate": {"S": f"cand-{adapter}"}}
            known = {"Item": {**names, "percent": {"N": "30"}}} if adapter in ("acme", "globex") else {}
            return "application/x-amz-json-1.0", json.dumps(known).encode()
        asked = json.loads(body)
        self.seen.append({"path": path, "headers": headers, "body": asked, "raw": body.decode()})
        if path.endswith("-response-stream"):
            choice: dict[str, Any] = {"delta": {"content": "hi"}, "finish_reason": "stop"}
        else:
            choice = {"message": _message(asked), "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        whole = {"id": "1", "object": "chat.completion", "created": 1, "model": "lmi", "usage": usage}
        said = json.dumps({**whole, "choices": [{"index": 0, **choice}]}).encode()
        if "delta" not in choice:
            return "application/json", said
        return "application/vnd.amazon.eventstream", event("PayloadPart", b"data: " + said + b"\n\n")


def _message(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Call the tool that a request has, as an adapter that helps its tenant would."""
    if not asked.get("tools") or asked["messages"][-1]["role"] == "tool":
        return {"role": "assistant", "content": "hi"}
    call = {"name": asked["tools"][-1]["function"]["name"], "arguments": '{"question": "hi"}'}
    calls = [{"id": "call-1", "type": "function", "function": call}]
    return {"role": "assistant", "content": None, "tool_calls": calls}


@dataclass
class Tenant:
    """Whoever has the key of `acme`, and what leaves the proxy meanwhile."""

    url: str
    backend: Backend

    def send(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[int, list[Any]]:
        """Return the status of an answer, and the requests that the backend got."""
        before = len(self.backend.seen)
        whole = {"authorization": "Bearer sk-acme", "content-type": "application/json", **headers}
        text = json.dumps(body).replace("{port}", str(self.backend.port))
        method = "POST" if body else "GET"
        address = f"{self.url}{path}"
        answer = urllib3.request(method, address, body=text, headers=whole, retries=False, timeout=60)
        return answer.status, self.backend.seen[before:]

    def attack(self, path: str, attack: Attack) -> tuple[int, list[str]]:
        """Return the status of an answer, and what is wrong with what left the proxy."""
        body = {"model": "acme", **PATHS[path], **attack.body}
        status, seen = self.send(f"{path}{attack.query}", body, attack.headers)
        return status, [problem for one in seen for problem in _problems(one)]


def _problems(seen: Mapping[str, Any]) -> Iterator[str]:
    named = {name: value for name, value in seen["headers"].items() if name.startswith("x-amzn-sagemaker-")}
    component = named.pop("x-amzn-sagemaker-inference-component", None)
    if component not in OWN:
        yield f"component {component}"
    if named:
        yield f"headers {named}"
    if seen["path"] not in (f"/endpoints/{ENDPOINT}/invocations{kind}" for kind in ("", "-response-stream")):
        yield f"path {seen['path']}"
    if seen["body"].get("model") != ENDPOINT or "globex" in f"{seen['headers']} {seen['raw']}".lower():
        yield f"words {seen['headers']} {seen['raw']}"


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    recorded = Backend()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            joined: dict[str, str] = {}
            for name, value in self.headers.items():
                # A header that is sent twice is that of both.
                joined[name.lower()] = ",".join(filter(None, (joined.get(name.lower()), value)))
            kind, said = recorded.answer(self.path, joined, body)
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Say nothing: the test says what is wrong."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        recorded.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield recorded
        server.shutdown()


@pytest.fixture(scope="module")
def tenant(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """The guide's gateway, with more entries, and with keys that leave it to the callback to close paths."""
    folder, config = tmp_path_factory.mktemp("attacks"), yaml.safe_load(CONFIG)
    (acme,) = config["model_list"]
    address = f"http://127.0.0.1:{backend.port}"
    acme["litellm_params"]["sagemaker_base_url"] = f"{address}/endpoints/{ENDPOINT}/invocations"
    others = [acme | {"model_name": name, "model_info": {"adapter": name}} for name in ("globex", "gone")]
    nobody = acme | {"model_name": "nobody", "model_info": {}}
    config["model_list"] += [*others, nobody]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    keys = KEYS.replace("allowed_routes=PATHS, ", "")
    assert "PATHS, " not in keys
    (folder / "keys.py").write_text(keys.replace('["acme"]', '["acme", "gone", "nobody"]'))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keys_of_aws = {"AWS_ACCESS_KEY_ID": "AKIAOWN", "AWS_SECRET_ACCESS_KEY": "secret"}
    aws = {**keys_of_aws, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL_DYNAMODB": address}
    # Its first line asks a fleet for the configuration.
    start = START.partition("\n")[2].replace("4000", str(port))
    with proxy(folder, start, aws, port) as url:
        yield Tenant(url, backend)


@pytest.mark.parametrize("path", PATHS)
def test_no_attack_reaches_another_component(tenant: Tenant, path: str) -> None:
    assert len(ATTACKS) >= 60
    assert tenant.attack(path, Attack()) == (200, [])
    assert tenant.attack(path, Attack({"stream": True})) == (200, [])
    found = {name: tenant.attack(path, attack) for name, attack in ATTACKS.items()}
    assert {name: problems for name, (_, problems) in found.items() if problems} == {}


@pytest.mark.parametrize(
    "provider", [{}, {"custom_llm_provider": "openai"}, {"custom_llm_provider": "vertex_ai"}]
)
@pytest.mark.parametrize("path", CLOSED)
def test_no_other_path_reaches_the_endpoint(tenant: Tenant, path: str, provider: Mapping[str, Any]) -> None:
    body = CLOSED[path]
    status, seen = tenant.send(path, {"model": "acme", **body, **provider} if body else {}, {})
    assert (status >= 400, seen) == (True, [])


@pytest.mark.parametrize("named", [{}, {"model": None}, {"model": "acme"}])
@pytest.mark.parametrize("path", FOREIGN_PATHS)
def test_another_adapter_in_the_path_is_refused(tenant: Tenant, path: str, named: Mapping[str, Any]) -> None:
    status, seen = tenant.send(path, {**PATHS["/v1/chat/completions"], **named}, {})
    assert (status // 100, seen) == (4, [])


@pytest.mark.parametrize("model", ["gone", "nobody"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_request_for_no_known_component_is_refused(tenant: Tenant, path: str, model: str) -> None:
    status, seen = tenant.send(path, {**PATHS[path], "model": model}, {})
    assert (status, seen) == (404, [])


def test_parameters_of_sampling_pass(tenant: Tenant) -> None:
    sampling = {"temperature": 0.5, "seed": 1, "top_k": 3, "min_p": 0.1, "repetition_penalty": 1.1}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    body = {"model": "acme", **PATHS["/v1/chat/completions"], **sampling, "tools": [tool]}
    status, (seen,) = tenant.send("/v1/chat/completions", body, {})
    assert status == 200
    assert {key: seen["body"].get(key) for key in (*sampling, "tools")} == {**sampling, "tools": [tool]}
