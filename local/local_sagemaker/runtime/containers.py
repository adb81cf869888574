"""Model server processes, one for each copy of a base component.

SageMaker's container protocol for LMI and vLLM [V]: `GET /ping`, `POST /adapters` with query parameters and
no body, `DELETE /adapters/{name}`, `POST /invocations` with the adapter's name in the header
X-Amzn-SageMaker-Adapter-Identifier. Of the OpenAI path `POST /v1/chat/completions`.
"""

import asyncio
import contextlib
import os
import shlex
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import httpx

from local_sagemaker.container_protocol import ADAPTER_HEADER
from local_sagemaker.errors import HostingError
from local_sagemaker.process_groups import ProcessGroups

# [V] SageMaker gives a container 60 s to answer.
_ANSWER_SECONDS = 60.0
_PING_SECONDS = 0.02
# Less than the 5 s after which uvicorn closes an idle connection: a request on a closing one fails.
_KEEP_ALIVE_SECONDS = 2.0
# How long a request in progress delays the removal of its adapter or its copy.
_DRAIN_SECONDS = 30.0
# A connection breaks this long before the end of its process is known, at most.
_END_SECONDS = 0.5
# How long a process may take to end by itself.
_STOP_SECONDS = 5.0
_MISSING = 404
_LOG_TAIL_BYTES = 2_000
# At most this much of a log is read at a time; the rest is read the next time.
_LOG_PIECE_BYTES = 1_000_000


class CopyLog:
    """What a copy prints, read from its log file as it grows."""

    def __init__(self, path: Path):
        self._path = path
        self._offset = 0

    def new_lines(self, *, whole: bool = False) -> list[str]:
        """The lines since the last call; with `whole`, also one that has no end."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                content = file.read(_LOG_PIECE_BYTES)
        except OSError:
            return []
        complete = content if whole else content[: content.rfind(b"\n") + 1]
        if len(content) == _LOG_PIECE_BYTES and not complete:
            complete = content  # a part of a longer line
        self._offset += len(complete)
        return complete.decode(errors="replace").splitlines()


class ContainerProcess:
    """One running copy."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        port: int,
        *,
        groups: ProcessGroups,
        log: Path,
        links: Path | None = None,
        number: int = 0,
        engine: str = "",
    ):
        self.engine = engine
        self._process = process
        self._log = CopyLog(log)
        self.number = number
        self._ended = asyncio.create_task(_end_of_group(process, groups))
        self._links = links
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            timeout=_ANSWER_SECONDS,
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=100, keepalive_expiry=_KEEP_ALIVE_SECONDS
            ),
            trust_env=False,
        )
        self._in_flight: Counter[str] = Counter()

    @classmethod
    async def start(
        cls,
        command: str,
        model: Path,
        environment: Mapping[str, str],
        log: Path,
        start_seconds: float,
        *,
        groups: ProcessGroups,
        links: Path | None = None,
        number: int = 0,
        engine: str = "",
        **options: str,
    ) -> "ContainerProcess":
        """Start the server on a model and wait until it answers pings.

        `groups` records the process group. With `links`, a folder, the path of an adapter depends on its name
        alone. `engine` is what serves the copy, in words. `options` are the values of the command's other
        placeholders, or another Python. Raises HostingError with the end of its log if it is not healthy in
        time.
        """
        with reserved_port() as port:
            values = {"python": sys.executable, "model_dir": model, "port": port} | options
            arguments = [part.format(**values) for part in shlex.split(command)]
            with log.open("wb") as output:
                try:
                    process = await asyncio.create_subprocess_exec(
                        *arguments,
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=output,
                        stderr=asyncio.subprocess.STDOUT,
                        env={**os.environ, **environment},
                        process_group=0,
                    )
                except OSError as error:
                    raise HostingError(f"The container could not be started: {error}") from error
            groups.add(process.pid)
            container = cls(process, port, groups=groups, log=log, links=links, number=number, engine=engine)
            try:
                await asyncio.wait_for(container._healthy(), start_seconds)
            except (TimeoutError, HostingError):
                await container.stop(drain=False)
                raise HostingError(
                    "The primary container for the inference component did not pass the ping health check. "
                    f"The end of its log: {_tail(log)}"
                ) from None
            except BaseException:
                await container.stop(drain=False)
                raise
        return container

    async def _healthy(self) -> None:
        healthy = False
        while not healthy:
            await asyncio.sleep(_PING_SECONDS)
            with contextlib.suppress(httpx.HTTPError):
                healthy = (await self._client.get("/ping")).is_success
            # Checked after the ping: if the process has ended, another one on its port has answered.
            if not self.running:
                raise HostingError("the process ended")

    @property
    def running(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    async def ended(self) -> None:
        """Wait until the process has ended, and its children with it."""
        await asyncio.shield(self._ended)

    @property
    def outstanding(self) -> int:
        """Number of requests in progress."""
        return self._in_flight.total()

    @property
    def outstanding_of_base(self) -> int:
        """Number of requests in progress that name no adapter."""
        return self._in_flight[""]

    def new_lines(self) -> list[str]:
        """What the server and its children have printed since the last call."""
        return self._log.new_lines(whole=not self.running)

    async def register(self, adapter: str, directory: Path) -> None:
        """Load an adapter; HostingError with the container's own message if that fails."""
        source = directory if self._links is None else self._link(adapter, directory)
        query = {"name": adapter, "src": str(source), "preload": "true"}
        await self._call("POST", "/adapters", params=query, accept=lacks_adapter_paths)

    def _link(self, adapter: str, directory: Path) -> Path:
        """Put an adapter's files at the path that its name alone decides."""
        assert self._links is not None  # the caller checks it
        self._links.mkdir(exist_ok=True)
        link = self._links / quote(adapter, safe="")
        link.unlink(missing_ok=True)
        link.symlink_to(directory, target_is_directory=True)
        return link

    async def unregister(self, adapter: str) -> None:
        """Remove an adapter, even if requests for it are in progress."""
        await self._call(
            "DELETE",
            f"/adapters/{quote(adapter, safe='')}",
            accept=lambda answer: answer.status_code == _MISSING,
        )

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        accept: Callable[[httpx.Response], bool],
    ) -> None:
        try:
            answer = await self._client.request(method, path, params=params)
        except (httpx.HTTPError, RuntimeError) as error:
            # httpx raises RuntimeError if the client was closed meanwhile, since the copy was stopped.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ended(), _END_SECONDS)
            raise HostingError(f"The container did not answer: {error!r}") from error
        if not answer.is_success and not accept(answer):
            raise HostingError(f"The container answered {answer.status_code}: {answer.text}")

    @contextlib.asynccontextmanager
    async def post(
        self, path: str, adapter: str | None, headers: Mapping[str, str], body: bytes
    ) -> AsyncIterator[httpx.Response]:
        """The container's answer at a path, with an unread body; httpx.HTTPError if there is none."""
        key = adapter or ""
        if adapter is not None:
            headers = {**headers, ADAPTER_HEADER: adapter}
        self._in_flight[key] += 1
        try:
            async with self._client.stream("POST", path, headers=headers, content=body) as answer:
                yield answer
        finally:
            self._in_flight[key] -= 1

    async def drained(self, adapter: str | None = None) -> None:
        """Wait up to 30 s for the requests in progress, of one adapter or all."""
        deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
        while self.outstanding if adapter is None else self._in_flight[adapter]:
            if not self.running or asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(0.01)

    async def stop(self, *, drain: bool = True) -> None:
        """End the process; with drain, after its requests in progress."""
        if drain:
            await self.drained()
        await self._client.aclose()
        if self.running:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
            except TimeoutError:
                self._process.kill()
        await self.ended()


def lacks_adapter_paths(answer: httpx.Response) -> bool:
    """Whether a container has no path to register adapters, in the words of its web framework.

    [T Hugging Face's notebook] An adapter is reported InService by such a container, and every request to it
    gets 404: the vLLM image without VLLM_ALLOW_RUNTIME_LORA_UPDATING.
    """
    if answer.status_code != _MISSING:
        return False
    try:
        said = answer.json()
    except ValueError:
        return False
    match said:
        # FastAPI's form, vLLM's, and that of the embedded engine.
        case {"detail": "Not Found"} | {"error": {"message": "Not Found"}} | {"message": "Not Found"}:
            return True
    return False


async def _end_of_group(process: asyncio.subprocess.Process, groups: ProcessGroups) -> None:
    """Wait for the end of a process, however it comes, and end the children that it leaves."""
    await process.wait()
    await asyncio.to_thread(groups.kill, process.pid)


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A free port that the system assigns to nobody else meanwhile.

    Servers bind with SO_REUSEADDR. On Linux, a server can bind a port that is already bound in this way, as
    long as nobody listens on it. Other systems refuse that, so there the port is released first.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        if sys.platform != "linux":
            holder.close()
        yield port


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
        return file.read().decode(errors="replace").strip() or "(empty)"
