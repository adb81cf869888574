"""The container protocol over HTTP. The dialect decides what LMI and vLLM do differently.

| request | answer |
|---|---|
| `GET /ping` | 200, or 500 when the model has failed |
| `POST /invocations` | the answer in the body's own shape; 404 for an adapter that is not registered |
| `POST /v1/chat/completions` | OpenAI's chat completion, whole or as server-sent events |
| `POST /adapters?name=&src=` | 200, or why the adapter cannot be served |
| `DELETE /adapters/{name}` | 200; 404 |

The header `X-Amzn-SageMaker-Adapter-Identifier` that SageMaker sets names the adapter of an invocation.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local_sagemaker.model_server.dialects import Dialect
from local_sagemaker.model_server.errors import LoraOffError, ModelServerError
from local_sagemaker.model_server.invocations import Invocation
from local_sagemaker.model_server.llama import LlamaModel
from local_sagemaker.model_server.lora import Adapter
from local_sagemaker.model_server.memory_tiers import NOTHING_ADDED, AdapterTiers, LoadTimes
from local_sagemaker.model_server.prefix_cache import AdapterKey, PrefixCache
from local_sagemaker.model_server.scheduler import Batch, BatchScheduler, GeneratedToken
from local_sagemaker.model_server.served_model import ServedModel, default_sampling
from local_sagemaker.model_server.settings import ServerSettings
from local_sagemaker.model_server.text import TextCodec

logger = logging.getLogger(__name__)


class ModelServer:
    """The routes, on a loaded model."""

    def __init__(
        self,
        directory: Path,
        settings: ServerSettings,
        dialect: Callable[[ServedModel], Dialect],
        prefix_cache: AdapterKey | None = None,
        load_times: LoadTimes = NOTHING_ADDED,
        evicts_running: bool = False,
    ) -> None:
        """`prefix_cache` is how blocks of prompts are keyed; None, or the settings, turn the cache off."""
        self._settings = settings
        model = LlamaModel.from_directory(directory)
        codec = TextCodec(directory)
        context = min(settings.max_model_len or model.config.context, model.config.context)
        self._dialect = dialect(
            ServedModel(
                name=model.config.name,
                context=context,
                codec=codec,
                default_sampling=default_sampling(directory),
            )
        )
        projections = model.config.projections()
        tiers = AdapterTiers(
            lambda source: Adapter.from_directory(
                source, projections=projections, max_rank=settings.max_lora_rank
            ),
            max_loras=settings.max_loras,
            max_cpu_loras=settings.max_cpu_loras or settings.max_loras,
            times=load_times,
            evicts_running=evicts_running,
        )
        batch = Batch(
            model,
            tiers,
            max_size=settings.max_batch_size,
            context=context,
            prefix_cache=PrefixCache(prefix_cache) if prefix_cache and settings.prefix_caching else None,
        )
        self._scheduler = BatchScheduler(batch, codec)

    def app(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            Route("/ping", self.ping, methods=self._dialect.ping_methods),
            Route("/invocations", self.invoke, methods=["POST"]),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
        ]
        if self._settings.runtime_lora or not self._dialect.needs_runtime_lora:
            routes += [
                Route("/adapters", self.register_adapter, methods=["POST"]),
                Route("/adapters/{name}", self.unregister_adapter, methods=["DELETE"]),
            ]
        return Starlette(
            routes=routes,
            exception_handlers={
                ModelServerError: self._refuse,
                HTTPException: refuse_unrouted,
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
        """Generate an answer to SageMaker, whole or as a stream."""
        return await self._generate(await self._dialect.invocation(request))

    async def chat(self, request: Request) -> Response:
        """Generate an answer to a client of the OpenAI path, whole or as a stream."""
        return await self._generate(await self._dialect.chat(request))

    async def _generate(self, invocation: Invocation) -> Response:
        generation = await self._scheduler.submit(invocation.generation)
        if not invocation.stream:
            return JSONResponse(invocation.whole([step async for step in generation]))
        # Until the first token, a failure can still become an error response.
        first = await anext(generation)
        events = invocation.events(chain(first, generation))
        return StreamingResponse(events, media_type=invocation.media_type)

    async def register_adapter(self, request: Request) -> Response:
        """Load an extracted archive under a name."""
        if not self._settings.enable_lora:
            raise LoraOffError("LoRA is off: OPTION_ENABLE_LORA is not true")
        registration = await self._dialect.registration(request)
        await self._scheduler.with_adapters(
            lambda tiers: tiers.register(
                registration.name, registration.source, preload=registration.preload, pin=registration.pin
            )
        )
        logger.info("adapter %s registered from %s", registration.name, registration.source)
        return self._dialect.done(f"Adapter {registration.name} registered")

    async def unregister_adapter(self, request: Request) -> Response:
        """Unregister an adapter; running requests finish with it."""
        name = request.path_params["name"]
        await self._scheduler.with_adapters(lambda tiers: tiers.unregister(name))
        logger.info("adapter %s unregistered", name)
        return self._dialect.done(f"Adapter {name} unregistered")

    async def _refuse(self, _: Request, error: Exception) -> Response:
        assert isinstance(error, ModelServerError)  # the class that it is registered for
        return self._dialect.refusal(error)


async def chain(first: GeneratedToken, rest: AsyncIterator[GeneratedToken]) -> AsyncIterator[GeneratedToken]:
    """Yield the first step, then the rest."""
    yield first
    async for step in rest:
        yield step


async def refuse_unrouted(_: Request, error: Exception) -> Response:
    """Answer that the path or method does not exist."""
    status, detail = getattr(error, "status_code", 500), getattr(error, "detail", "")
    return JSONResponse({"code": status, "type": type(error).__name__, "message": detail}, status)
