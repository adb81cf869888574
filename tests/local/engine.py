"""A container without a model: it answers which adapter it was asked for, and what is in its directory.

It speaks the container protocol, starts at once, and does what a real server does not when told to: a
body {"status": 503} gets that status, {"parts": ["a", "b"]} is sent in parts,
and {"break": true} breaks off after the first part. It dies of an adapter with the name "deadly".
In a chat, `model` names the adapter if the header does not. With WITHOUT_ADAPTERS in its environment, it has
no path to register adapters, in the words of vLLM's web framework.
"""

import json
import os
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

COMMAND = f"{sys.executable} {Path(__file__).resolve()} {{model_dir}} {{port}}"

# The directory of each adapter, and what is in it.
ADAPTERS: dict[str, tuple[str, str]] = {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.answer(200, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        url = urlsplit(self.path)
        if url.path == "/adapters" and "WITHOUT_ADAPTERS" in os.environ:
            self.answer(404, {"detail": "Not Found"})
            return
        if url.path == "/adapters":
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            content = Path(query["src"], "adapter.txt")
            if query["name"] == "deadly":
                # The connection breaks at once, and the process ends a little later.
                self.connection.shutdown(socket.SHUT_RDWR)
                time.sleep(0.1)
                os._exit(1)
            if not content.exists():
                self.answer(424, {"message": "no adapter.txt"})
            elif query["name"] in ADAPTERS:
                self.answer(409, {"message": "already registered"})
            else:
                ADAPTERS[query["name"]] = (query["src"], content.read_text())
                print("registered", query["name"], flush=True)  # noqa: T201  # what the copy's log has
                self.answer(200, {})
            return
        self.invoke(json.loads(body))

    def do_DELETE(self) -> None:
        known = ADAPTERS.pop(unquote(self.path.removeprefix("/adapters/")), None)
        self.answer(404 if known is None else 200, {})

    def invoke(self, body: dict[str, object]) -> None:
        adapter = self.headers.get("X-Amzn-SageMaker-Adapter-Identifier")
        if adapter is None and self.path == "/v1/chat/completions":
            adapter = str(body.get("model", "")) or None
        if adapter is not None and adapter not in ADAPTERS:
            self.answer(404, {"message": f"Adapter {adapter} not found"})
        elif "status" in body:
            self.answer(int(str(body["status"])), {"message": "as you wish"})
        elif "parts" in body or "break" in body:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in body.get("parts", ["first"]):  # type: ignore[attr-defined]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part.encode()))
                self.wfile.flush()
                time.sleep(0.05)
            if "break" in body:
                self.close_connection = True
                self.connection.close()
            else:
                self.wfile.write(b"0\r\n\r\n")
        else:
            model = Path(sys.argv[1], "model.txt").read_text()
            source, content = ADAPTERS.get(adapter or "", (None, None))
            said = {
                "model": model,
                "adapter": content,
                "source": source,
                "options": sys.argv[3:],
                "version": os.environ.get("VERSION"),
                "process": os.getpid(),
                "query": urlsplit(self.path).query,
                "body": body,
            }
            self.answer(200, said)

    def answer(self, status: int, said: object) -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header(
            "X-Amzn-SageMaker-Custom-Attributes", self.headers.get("X-Amzn-SageMaker-Custom-Attributes", "")
        )
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
