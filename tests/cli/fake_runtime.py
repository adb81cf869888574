"""A SageMaker runtime on a port of its own that answers what a test tells it to, for the real boto3."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local_sagemaker.runtime.event_stream import event, exception


@dataclass(frozen=True)
class Call:
    """A request that came in."""

    path: str
    component: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What goes back: a status, a body and headers."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def text(cls, text: str) -> "Reply":
        return cls(json.dumps({"object": "text_completion", "choices": [{"text": text}]}).encode())

    @classmethod
    def error(cls, status: int, code: str, **fields: Any) -> "Reply":
        return cls(json.dumps(fields).encode(), status, {"x-amzn-ErrorType": code})

    @classmethod
    def stream(cls, *parts: bytes, failure: str | None = None) -> "Reply":
        body = b"".join(event("PayloadPart", part) for part in parts)
        if failure is not None:
            body += exception("ModelStreamError", json.dumps({"Message": failure}).encode())
        return cls(body, headers={"Content-Type": "application/vnd.amazon.eventstream"})


class FakeRuntime:
    """Answers with `reply(call)` and remembers the calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.reply: Callable[[Call], Reply] = lambda call: Reply.text(f"answer of {call.component}")
        runtime = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                call = Call(self.path, self.headers["X-Amzn-SageMaker-Inference-Component"], body)
                runtime.calls.append(call)
                reply = runtime.reply(call)
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FakeRuntime":
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
