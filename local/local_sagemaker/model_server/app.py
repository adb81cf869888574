"""The container protocol over HTTP, as LMI (DJL serving) answers it.

| request | answer |
|---|---|
| `GET /ping` | 200, or 500 when the model has failed |
| `POST /invocations` | the answer in the body's own shape; 404 for an adapter that is not registered |
| `POST /adapters?name=&src=` | 200; 400 LoRA is off; 409 duplicate; 424 not loadable; 507 no GPU slot left |
| `DELETE /adapters/{name}` | 200; 404 |
| `GET /adapters`, `GET /adapters/{name}` | what is registered, and in which tier it is |

Registering takes `&preload=false` (load at the first request) and `&pin=true` (never leave the GPU slot) too.
The header `X-Amzn-SageMaker-Adapter-Identifier` that SageMaker sets names the adapter of an invocation;
without it `?adapter=` does, and without both the body.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from local_sagemaker.model_server.bodies import (
    ServedModel,
    WholeAnswer,
    default_sampling,
    parse_invocation,
)
from local_sagemaker.model_server.errors import BadRequestError, ModelServerError
from local_sagemaker.model_server.llama import LlamaModel
from local_sagemaker.model_server.lora import Adapter
from local_sagemaker.model_server.memory_tiers import AdapterTiers, RegisteredAdapter
from local_sagemaker.model_server.scheduler import BatchedRequest, BatchScheduler, GeneratedToken
from local_sagemaker.model_server.settings import ServerSettings
from local_sagemaker.model_server.text import TextCodec

logger = logging.getLogger(__name__)

ADAPTER_HEADER = "X-Amzn-SageMaker-Adapter-Identifier"

Result = TypeVar("Result")


class CancellingResponse(StreamingResponse):
    """A stream that cancels its generation if it ends early."""

    def __init__(self, generation: BatchedRequest, content: AsyncIterator[str], *, media_type: str) -> None:
        super().__init__(content, media_type=media_type)
        self._generation = generation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._generation.cancel()


class ClientGoneError(Exception):
    """The client closed the connection before its answer was ready."""


class ModelServer:
    """The routes, on a loaded model."""

    def __init__(self, directory: Path, settings: ServerSettings) -> None:
        self._settings = settings
        model = LlamaModel.from_directory(directory)
        codec = TextCodec(directory)
        context = min(settings.max_model_len or model.config.context, model.config.context)
        self._served = ServedModel(
            name=model.config.name,
            context=context,
            codec=codec,
            default_sampling=default_sampling(directory),
        )
        modules = model.config.modules()
        tiers = AdapterTiers(
            lambda source: Adapter.from_directory(source, modules=modules, max_rank=settings.max_lora_rank),
            max_loras=settings.max_loras,
            max_cpu_loras=settings.max_cpu_loras or settings.max_loras,
        )
        self._scheduler = BatchScheduler(
            model, codec, tiers, max_batch_size=settings.max_batch_size, context=context
        )

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/ping", self.ping),
                Route("/invocations", self.invoke, methods=["POST"]),
                Route("/adapters", self.list_adapters, methods=["GET"]),
                Route("/adapters", self.register_adapter, methods=["POST"]),
                Route("/adapters/{name}", self.describe_adapter, methods=["GET"]),
                Route("/adapters/{name}", self.unregister_adapter, methods=["DELETE"]),
            ],
            exception_handlers={
                ModelServerError: refuse,
                HTTPException: refuse_unrouted,
                ClientGoneError: drop,
            },
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self._scheduler:
            yield

    async def ping(self, _: Request) -> Response:
        """Answer whether the model works."""
        return Response(status_code=200 if self._scheduler.healthy else 500)

    async def invoke(self, request: Request) -> Response:
        """Generate an answer, whole or as a stream."""
        adapter = request.headers.get(ADAPTER_HEADER) or request.query_params.get("adapter")
        invocation = parse_invocation(await request.body(), self._served, adapter=adapter)
        generation = await self._scheduler.submit(invocation.generation)
        try:
            if not invocation.stream:
                return JSONResponse(invocation.whole(await unless_gone(request, gather(generation))))
            # Until the first token, a failure can still become an error response.
            first = await unless_gone(request, anext(generation))
        except BaseException:
            generation.cancel()
            raise
        events = invocation.events(chain(first, generation))
        return CancellingResponse(generation, events, media_type=invocation.media_type)

    async def list_adapters(self, _: Request) -> Response:
        """List what is registered."""
        described = await self._scheduler.with_adapters(
            lambda tiers: [describe(adapter) for adapter in tiers]
        )
        return JSONResponse({"adapters": described})

    async def describe_adapter(self, request: Request) -> Response:
        """Describe one adapter."""
        name = request.path_params["name"]
        return JSONResponse(await self._scheduler.with_adapters(lambda tiers: describe(tiers.find(name))))

    async def register_adapter(self, request: Request) -> Response:
        """Load an extracted archive under a name."""
        if not self._settings.enable_lora:
            raise BadRequestError("LoRA is off: OPTION_ENABLE_LORA is not true")
        name, source = request.query_params.get("name"), request.query_params.get("src")
        if not name or not source:
            raise BadRequestError("the query should have 'name' and 'src'")
        preload, pin = flag(request, "preload", True), flag(request, "pin", False)
        await self._scheduler.with_adapters(
            lambda tiers: tiers.register(name, Path(source), preload=preload, pin=pin)
        )
        logger.info("adapter %s registered", name)
        return JSONResponse({"status": f"Adapter {name} registered"})

    async def unregister_adapter(self, request: Request) -> Response:
        """Unregister an adapter; running requests finish with it."""
        name = request.path_params["name"]
        await self._scheduler.with_adapters(lambda tiers: tiers.unregister(name))
        logger.info("adapter %s unregistered", name)
        return JSONResponse({"status": f"Adapter {name} unregistered"})


def flag(request: Request, name: str, default: bool) -> bool:
    """Read true or false from the query."""
    value = request.query_params.get(name, str(default)).lower()
    if value not in ("true", "false"):
        raise BadRequestError(f"'{name}' should be true or false, got '{value}'")
    return value == "true"


def describe(adapter: RegisteredAdapter) -> dict[str, Any]:
    """Return one registration as JSON."""
    return {
        "name": adapter.name,
        "src": str(adapter.source),
        "tier": adapter.tier,
        "pin": adapter.pinned,
    }


async def gather(steps: AsyncIterator[GeneratedToken]) -> WholeAnswer:
    """Wait for the whole answer."""
    return WholeAnswer(steps=[step async for step in steps])


async def chain(first: GeneratedToken, rest: AsyncIterator[GeneratedToken]) -> AsyncIterator[GeneratedToken]:
    """Yield the first step, then the rest."""
    yield first
    async for step in rest:
        yield step


async def unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """Await work for a client, cancelling it when the client closes the connection."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(request.receive())  # the next message after the body is the disconnect
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError
        return working.result()
    finally:
        watching.cancel()
        working.cancel()


async def refuse(_: Request, error: Exception) -> Response:
    """Answer with an error of the server."""
    status = getattr(error, "status", 500)
    return JSONResponse({"code": status, "type": type(error).__name__, "message": str(error)}, status)


async def refuse_unrouted(_: Request, error: Exception) -> Response:
    """Answer that the path or method does not exist."""
    status, detail = getattr(error, "status_code", 500), getattr(error, "detail", "")
    return JSONResponse({"code": status, "type": type(error).__name__, "message": detail}, status)


async def drop(*_: object) -> Response:
    """Answer a client that has disconnected, with nginx's status 499; nobody reads the answer."""
    return Response(status_code=499)
