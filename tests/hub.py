"""A stand-in for the Hugging Face Hub on loopback: its API on one port, what it redirects to on another.

It serves what `adapters pull` asks for, with the headers and error codes that `huggingface_hub` knows. What
goes wrong, and how slowly, is set by file; what was sent is counted by file.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "a1b2c3d4" * 5
_SIGNATURE = "signed"
_PIECE = 256 * 1024


class Content(Protocol):
    """The bytes of a file."""

    size: int

    def read(self, start: int, end: int) -> Iterator[bytes | memoryview]:
        """Yield the bytes from `start` up to `end`, in pieces."""


class Stored:
    """Bytes that are kept."""

    def __init__(self, content: bytes) -> None:
        self._content, self.size = memoryview(content), len(content)

    def read(self, start: int, end: int) -> Iterator[memoryview]:
        for begin in range(start, end, _PIECE):
            yield self._content[begin : min(begin + _PIECE, end)]


class Generated:
    """Bytes of any number that are made when they are read: no two places of a few megabytes are the same."""

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        # Of a length that no range is a multiple of.
        self._block = memoryview(hashlib.shake_256(str(seed).encode()).digest(1_048_573))

    def read(self, start: int, end: int) -> Iterator[memoryview]:
        while start < end:
            at = start % len(self._block)
            piece = self._block[at : min(at + end - start, len(self._block))]
            yield piece
            start += len(piece)


@dataclass
class File:
    """A file of the repository, and what goes wrong with it.

    lfs:
        Whether it is in Git LFS: redirected to the other port, and known by its SHA-256.
    fails:
        How many requests for its bytes are answered with 503.
    seconds_each:
        How long each quarter of a megabyte takes.
    """

    content: Content
    lfs: bool = True
    fails: int = 0
    seconds_each: float = 0.0
    digest: str = ""

    def __post_init__(self) -> None:
        hashed = hashlib.sha256() if self.lfs else hashlib.sha1(b"blob %d\x00" % self.content.size)
        for piece in self.content.read(0, self.content.size):
            hashed.update(piece)
        self.digest = self.digest or hashed.hexdigest()


class HubStandIn:
    """Serves one repository for the length of a `with` block.

    token:
        What a request has to bring; None for a public model.
    gated:
        Whether the token's account has not accepted the licence.
    sent:
        How many bytes were sent of each file.
    strangers:
        The Authorization headers that the other port was sent: there should be none.
    """

    def __init__(self, model_id: str, files: dict[str, File], *, token: str | None = None) -> None:
        self.model_id, self.files, self.token = model_id, files, token
        self.gated = False
        self.sent: Counter[str] = Counter()
        self.strangers: list[str] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._hub.server_port}"

    def __enter__(self) -> HubStandIn:
        self._hub, self._cdn = self._server(_Hub), self._server(_Cdn)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in (self._hub, self._cdn):
            server.shutdown()
            server.server_close()

    def cdn_url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._cdn.server_port}/{path}?X-Amz-Signature={_SIGNATURE}"

    def has_failed(self, file: File) -> bool:
        """Take one of a file's failures, if there is any left."""
        with self._lock:
            failed = file.fails > 0
            file.fails -= failed
            return failed

    def count_bytes(self, path: str, number: int) -> None:
        with self._lock:
            self.sent[path] += number

    def _server(self, handler: type[_Handler]) -> ThreadingHTTPServer:
        server = _Server(("127.0.0.1", 0), type(handler.__name__, (handler,), {"hub": self}))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that are gone."""


class _Handler(BaseHTTPRequestHandler):
    hub: HubStandIn
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        raise NotImplementedError

    def refuse(self, status: int, code: str = "", message: str = "") -> None:
        further = {"X-Error-Code": code, "X-Error-Message": message}
        self.answer(status, json.dumps({"error": message}).encode(), further)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, path: str, headers: dict[str, str]) -> None:
        file = self.hub.files[path]
        if self.command == "GET" and self.hub.has_failed(file):
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        start, end = 0, file.content.size
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked:
            start = int(asked[1])
            end = min(end, int(asked[2]) + 1) if asked[2] else end
            headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{file.content.size}"}
        self.send_response(HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK)
        for name, value in {"Content-Length": str(end - start), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            for piece in file.content.read(start, end):
                if file.seconds_each:
                    time.sleep(file.seconds_each)
                # Before the client has it, as it may look right after.
                self.hub.count_bytes(path, len(piece))
                self.wfile.write(piece)
        except OSError:
            pass  # the client has gone


class _Hub(_Handler):
    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        if hub.token is not None and not self._is_allowed():
            return
        cached = f"/api/resolve-cache/models/{hub.model_id}/"
        listing = re.fullmatch(f"/api/models/{hub.model_id}/revision/(.+)", path)
        resolve = re.fullmatch(f"/{hub.model_id}/resolve/([^/]+)/(.+)", path)
        if listing:
            self._list(listing[1])
        elif resolve:
            self._resolve(resolve[1], resolve[2])
        elif path.startswith(cached):
            commit, _, name = path.removeprefix(cached).partition("/")
            self.send_file(name, {"ETag": f'"{hub.files[name].digest}"', "X-Repo-Commit": commit})
        else:
            # [V] What is private looks the same to those who may not see it.
            self.refuse(
                HTTPStatus.UNAUTHORIZED if hub.token is None else HTTPStatus.NOT_FOUND, "RepoNotFound"
            )

    def _is_allowed(self) -> bool:
        given, hub = self.headers.get("Authorization"), self.hub
        if given is None:
            self.refuse(HTTPStatus.UNAUTHORIZED, "GatedRepo" if hub.gated else "RepoNotFound")
        elif given != f"Bearer {hub.token}":
            self.refuse(HTTPStatus.UNAUTHORIZED, message="Invalid credentials in Authorization header")
        elif hub.gated and "/api/models/" not in self.path:
            # [V] The listing of a gated model is public; its files are not.
            said = f"Access to model {hub.model_id} is restricted and you are not in the authorized list"
            self.refuse(HTTPStatus.FORBIDDEN, "GatedRepo", said)
        else:
            return True
        return False

    def _commit(self, revision: str) -> str | None:
        return COMMIT if revision in ("main", COMMIT) else None

    def _list(self, revision: str) -> None:
        hub, commit = self.hub, self._commit(revision)
        if commit is None:
            self.refuse(HTTPStatus.NOT_FOUND, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        siblings = []
        for path, file in hub.files.items():
            entry: dict[str, Any] = {"rfilename": path, "size": file.content.size, "blobId": file.digest}
            if file.lfs:
                entry |= {"blobId": "0" * 40}
                entry["lfs"] = {"sha256": file.digest, "size": file.content.size, "pointerSize": 134}
            siblings.append(entry)
        listing = {"id": hub.model_id, "sha": commit, "siblings": siblings, "gated": False, "private": False}
        body = json.dumps(listing).encode()
        self.answer(HTTPStatus.OK, body, {"Content-Type": "application/json"})

    def _resolve(self, revision: str, path: str) -> None:
        hub, commit = self.hub, self._commit(revision)
        if commit is None:
            self.refuse(HTTPStatus.NOT_FOUND, "RevisionNotFound")
        elif path not in hub.files:
            self.refuse(HTTPStatus.NOT_FOUND, "EntryNotFound")
        elif hub.files[path].lfs:
            file = hub.files[path]
            headers = {
                "Location": hub.cdn_url(path),
                "X-Linked-Size": str(file.content.size),
                "X-Linked-ETag": f'"{file.digest}"',
                "X-Repo-Commit": commit,
            }
            self.answer(HTTPStatus.FOUND, b"", headers)
        else:
            target = f"/api/resolve-cache/models/{hub.model_id}/{commit}/{path}"
            self.answer(HTTPStatus.TEMPORARY_REDIRECT, b"", {"Location": target, "X-Repo-Commit": commit})


class _Cdn(_Handler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if (given := self.headers.get("Authorization")) is not None:
            self.hub.strangers.append(given)
        if parse_qs(parts.query).get("X-Amz-Signature") != [_SIGNATURE]:
            self.refuse(HTTPStatus.FORBIDDEN)
            return
        self.send_file(unquote(parts.path).lstrip("/"), {})


def small_model(weights: File) -> dict[str, File]:
    """Return the files of a repository as they are: some that serving needs, and some that it does not."""
    texts = {
        "config.json": b'{"model_type": "llama"}',
        "generation_config.json": b"{}",
        "tokenizer.json": b'{"version": "1.0"}',
        "tokenizer_config.json": b"{}",
        "chat_template.jinja": b"{{ messages }}",
        "README.md": b"# A model",
        ".gitattributes": b"*.safetensors filter=lfs",
        "modeling_llama.py": b"raise SystemExit",
        "original/params.json": b"{}",
    }
    files = {path: File(Stored(text), lfs=False) for path, text in texts.items()}
    files["pytorch_model.bin"] = File(Stored(b"pickle"))
    files["original/consolidated.safetensors"] = File(Stored(b"again"))
    return files | {"model.safetensors": weights}


CONFIGURATION = (
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
"""What is wanted of `small_model` beside its weights."""
