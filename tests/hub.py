"""A stand-in for the Hugging Face Hub on loopback: its API on one port, what it redirects to on another.

It serves what `adapters pull` asks for, with the headers and error codes that `huggingface_hub` knows. What
goes wrong, and how slowly, is set by file; what was sent is counted by file.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

COMMIT = "a1b2c3d4" * 5
_SIGNATURE = "X-Amz-Signature=signed"
_PIECE = 256 * 1024


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

    content: bytes
    lfs: bool = True
    fails: int = 0
    seconds_each: float = 0.0
    digest: str = ""

    def __post_init__(self) -> None:
        blob = b"blob %d\x00" % len(self.content) + self.content
        hashed = hashlib.sha256(self.content) if self.lfs else hashlib.sha1(blob)
        self.digest = self.digest or hashed.hexdigest()


class HubStandIn:
    """Serves one repository for the length of a `with` block.

    token:
        What a request has to bring.
    gated:
        Whether the token's account has not accepted the licence.
    sent:
        How many bytes were sent of each file.
    strangers:
        The Authorization headers that the other port was sent: there should be none.
    """

    def __init__(self, model_id: str, files: dict[str, File], *, token: str) -> None:
        self.model_id, self.files, self.token = model_id, files, token
        self.gated = False
        self.sent: Counter[str] = Counter()
        self.strangers: list[str] = []

    @property
    def url(self) -> str:
        return self._hub.url

    def __enter__(self) -> HubStandIn:
        self._hub = _Port(
            {
                f"/api/models/{self.model_id}/revision/{{revision:path}}": self._list,
                f"/api/resolve-cache/models/{self.model_id}/{{revision}}/{{path:path}}": self._cached,
                f"/{self.model_id}/resolve/{{revision}}/{{path:path}}": self._resolve,
                # [V] What is private looks the same to those who may not see it.
                "/{path:path}": self._unknown,
            }
        )
        self._cdn = _Port({"/{path:path}": self._signed})
        return self

    def __exit__(self, *_: object) -> None:
        self._hub.close()
        self._cdn.close()

    def _refusal(self, request: Request) -> Response | None:
        given, of_files = request.headers.get("Authorization"), "/api/models/" not in request.url.path
        if given is None:
            return _refused(401, "GatedRepo" if self.gated else "RepoNotFound")
        if given != f"Bearer {self.token}":
            return _refused(401, message="Invalid credentials in Authorization header")
        if self.gated and of_files:
            # [V] The listing of a gated model is public; its files are not.
            said = f"Access to model {self.model_id} is restricted and you are not in the authorized list"
            return _refused(403, "GatedRepo", said)
        if request.path_params.get("revision", COMMIT) not in ("main", COMMIT):
            return _refused(404, "RevisionNotFound", "Invalid rev id")
        return None

    async def _list(self, request: Request) -> Response:
        entries = []
        for path, file in self.files.items():
            size = len(file.content)
            entry = {"rfilename": path, "size": size, "blobId": "0" * 40 if file.lfs else file.digest}
            lfs = {"sha256": file.digest, "size": size, "pointerSize": 134}
            entries.append({**entry, "lfs": lfs} if file.lfs else entry)
        listing = {"id": self.model_id, "sha": COMMIT, "siblings": entries, "gated": False, "private": False}
        return self._refusal(request) or JSONResponse(listing)

    async def _resolve(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        path = request.path_params["path"]
        file = self.files.get(path)
        if file is None:
            return _refused(404, "EntryNotFound")
        headers = {"X-Repo-Commit": COMMIT}
        if not file.lfs:
            headers["Location"] = f"/api/resolve-cache/models/{self.model_id}/{COMMIT}/{path}"
            return Response(status_code=307, headers=headers)
        headers["Location"] = f"{self._cdn.url}/{path}?{_SIGNATURE}"
        headers |= {"X-Linked-Size": str(len(file.content)), "X-Linked-ETag": f'"{file.digest}"'}
        return Response(status_code=302, headers=headers)

    async def _cached(self, request: Request) -> Response:
        etag = {"ETag": f'"{self.files[request.path_params["path"]].digest}"', "X-Repo-Commit": COMMIT}
        return self._refusal(request) or self._file(request, etag)

    async def _unknown(self, request: Request) -> Response:
        return self._refusal(request) or _refused(404, "RepoNotFound")

    async def _signed(self, request: Request) -> Response:
        if (given := request.headers.get("Authorization")) is not None:
            self.strangers.append(given)
        return self._file(request, {}) if request.url.query == _SIGNATURE else _refused(403)

    def _file(self, request: Request, headers: dict[str, str]) -> Response:
        path = request.path_params["path"]
        file = self.files[path]
        size = len(file.content)
        if request.method == "HEAD":
            return Response(headers={"Content-Length": str(size), **headers})
        if file.fails:
            file.fails -= 1
            return _refused(503)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        end = min(size, int(asked[2]) + 1) if asked and asked[2] else size
        headers = {"Content-Length": str(end - start), **headers}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"

        async def pieces() -> AsyncIterator[bytes]:
            for begin in range(start, end, _PIECE):
                await asyncio.sleep(file.seconds_each)
                piece = file.content[begin : min(begin + _PIECE, end)]
                # Before the client has it, as it may look right after.
                self.sent[path] += len(piece)
                yield piece

        return StreamingResponse(pieces(), status_code=206 if asked else 200, headers=headers)


class _Port:
    """Routes that are served on a port of its own."""

    def __init__(self, routes: Mapping[str, Callable[[Request], Awaitable[Response]]]) -> None:
        application = Starlette(routes=[Route(path, answer) for path, answer in routes.items()])
        config = uvicorn.Config(application, port=0, log_level="critical", timeout_graceful_shutdown=0)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        (listening,) = self._server.servers
        self.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()


def _refused(status: int, code: str = "", message: str = "") -> Response:
    headers = {"X-Error-Code": code, "X-Error-Message": message}
    headers = {name: value for name, value in headers.items() if value}
    return JSONResponse({"error": message}, status_code=status, headers=headers)


CONFIGURATION = ["chat_template.jinja", "config.json", "generation_config.json", "tokenizer.json"]
CONFIGURATION += ["tokenizer_config.json"]
"""What is wanted of `small_model` beside its weights."""


def small_model(weights: File) -> dict[str, File]:
    """Return the files of a repository as they are: some that serving needs, and some that it does not."""
    unwanted = ("README.md", ".gitattributes", "modeling_llama.py", "original/params.json")
    files = {path: File(path.encode(), lfs=False) for path in (*CONFIGURATION, *unwanted)}
    for path in ("pytorch_model.bin", "original/consolidated.safetensors"):
        files[path] = File(path.encode())
    return files | {"model.safetensors": weights}
