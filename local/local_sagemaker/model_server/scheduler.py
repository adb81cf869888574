"""Continuous batching: requests join and leave the batch between two tokens, each with its own adapter.

One worker thread owns the model, the cache and the adapters. The event loop gives it one call at a time, so
no lock is needed, and the server answers health checks while it computes.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self, TypeVar

import numpy as np

from local_sagemaker.model_server.errors import ModelServerError
from local_sagemaker.model_server.llama import KeyValueCache, LlamaModel
from local_sagemaker.model_server.lora import LoraWeights
from local_sagemaker.model_server.memory_tiers import AdapterTiers, GpuSlot, RegisteredAdapter
from local_sagemaker.model_server.prefix_cache import PrefixCache
from local_sagemaker.model_server.sampling import Sampler, Sampling, log_probabilities
from local_sagemaker.model_server.tensors import Array
from local_sagemaker.model_server.text import TextCodec, TextStream

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

FAILED = "the model has failed"


class FinishReason(StrEnum):
    """The reason why an answer ended, in OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """A prompt and how to continue it; prompt and `max_tokens` fit the context.

    `likeliest` asks for log probabilities: those of the chosen tokens and of so many likeliest ones.
    """

    prompt: list[int]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    ignore_end: bool = False
    likeliest: int | None = None
    adapter: str | None = None


@dataclass(frozen=True, kw_only=True)
class GeneratedToken:
    """The next token of an answer, the text that it completes, and its log probability if requested."""

    token: int
    text: str
    finish_reason: FinishReason | None
    stopped_by: str | None
    log_probability: float | None = None
    likeliest: Sequence[tuple[int, float]] = ()


@dataclass(eq=False, kw_only=True)
class BatchedRequest:
    """The state of one request in the batch."""

    request: GenerationRequest
    text: TextStream
    sampler: Sampler
    registered: RegisteredAdapter | None = None
    slot: GpuSlot | None = None
    length: int = 0  # positions in the cache
    last_token: int = 0
    generated: int = 0
    finished: bool = False
    results: asyncio.Queue[GeneratedToken | ModelServerError] = field(default_factory=asyncio.Queue)

    @property
    def weights(self) -> LoraWeights | None:
        """What its slot holds now."""
        return None if self.slot is None else self.slot.weights

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> GeneratedToken:
        """Wait for the next token; ModelServerError if the request could not run."""
        if self.finished:
            raise StopAsyncIteration
        result = await self.results.get()
        if isinstance(result, ModelServerError):
            self.finished = True
            raise result
        self.finished = result.finish_reason is not None
        return result


Results = list[tuple[BatchedRequest, GeneratedToken | ModelServerError]]


class Batch:
    """The running requests, which are computed together, and the waiting ones. One thread owns it."""

    def __init__(
        self,
        model: LlamaModel,
        tiers: AdapterTiers,
        *,
        max_size: int,
        context: int,
        prefix_cache: PrefixCache | None,
    ) -> None:
        self._model = model
        self.tiers = tiers
        self._max_size = max_size
        self._prefix_cache = prefix_cache
        self._waiting: list[BatchedRequest] = []
        # A request's index here is its row in the cache.
        self._running: list[BatchedRequest] = []
        self._context = context
        self._cache = KeyValueCache(model.config, rows=max_size, length=context)

    def add(self, generation: BatchedRequest) -> None:
        """Queue a request with the adapter that is registered under its name now."""
        if generation.request.adapter is not None:
            generation.registered = self.tiers.hold(generation.request.adapter)
        self._waiting.append(generation)

    def step(self) -> Results:
        """Advance every running request by one token, newcomers by their first and second."""
        results: Results = []
        newcomers = self._admit(results)
        if newcomers:
            self._prefill(newcomers, results)
        if self._running:
            self._decode(results)
        return results

    @property
    def idle(self) -> bool:
        """Whether there is nothing to compute."""
        return not self._waiting and not self._running

    def abandon(self) -> list[BatchedRequest]:
        """Remove and return every request, after a failure."""
        abandoned = [*self._running, *self._waiting]
        self._running.clear()
        self._waiting.clear()
        return abandoned

    def _admit(self, results: Results) -> list[BatchedRequest]:
        """Start waiting requests in order, except those whose adapter finds no slot."""
        newcomers = []
        for generation in list(self._waiting):
            if len(self._running) == self._max_size:
                break
            if generation.registered is not None:
                try:
                    generation.slot = self.tiers.start(generation.registered)
                except ModelServerError as error:
                    self._waiting.remove(generation)
                    self.tiers.give_up(generation.registered)
                    results.append((generation, error))
                    continue
                if generation.slot is None:
                    continue
            self._waiting.remove(generation)
            self._running.append(generation)
            newcomers.append(generation)
        return newcomers

    def _prefill(self, newcomers: list[BatchedRequest], results: Results) -> None:
        """Run the prompts of newcomers, padded on the right, and choose their first tokens."""
        first_row = len(self._running) - len(newcomers)
        starts = [
            self._restore_prefix(generation, row) for row, generation in enumerate(newcomers, first_row)
        ]
        rests = [
            generation.request.prompt[start:] for generation, start in zip(newcomers, starts, strict=True)
        ]
        lengths = np.array([len(rest) for rest in rests])
        tokens = np.zeros((len(newcomers), lengths.max()), np.int64)
        for row, rest in enumerate(rests):
            tokens[row, : len(rest)] = rest
        # Padding may go past the context's end. No prompt has a token at its last position.
        positions = np.minimum(np.array(starts)[:, None] + np.arange(lengths.max()), self._context - 1)
        hidden = self._model.forward(
            tokens, positions, self._cache, first_row, [generation.weights for generation in newcomers]
        )
        for row, generation in enumerate(newcomers, first_row):
            generation.length = len(generation.request.prompt)
            if self._prefix_cache:
                self._prefix_cache.store(generation.registered, generation.request.prompt, self._cache, row)
        self._choose(newcomers, hidden[np.arange(len(newcomers)), lengths - 1], results)

    def _restore_prefix(self, generation: BatchedRequest, row: int) -> int:
        """Take the cached beginning of a prompt; return its length."""
        if self._prefix_cache is None:
            return 0
        return self._prefix_cache.restore(generation.registered, generation.request.prompt, self._cache, row)

    def _decode(self, results: Results) -> None:
        """Run the last token of every running request and choose the next ones."""
        hidden = self._model.forward(
            np.array([[generation.last_token] for generation in self._running]),
            np.array([[generation.length] for generation in self._running]),
            self._cache,
            0,
            [generation.weights for generation in self._running],
        )
        for generation in self._running:
            generation.length += 1
        self._choose(list(self._running), hidden[:, -1], results)

    def _choose(self, generations: list[BatchedRequest], hidden: Array, results: Results) -> None:
        logits = self._model.logits(hidden)
        finished = []
        for generation, scores in zip(generations, logits, strict=True):
            step = self._advance(generation, scores)
            results.append((generation, step))
            if step.finish_reason:
                finished.append(generation)
                # Before the client gets the last token. `runtime/metrics.py` counts these lines.
                logger.info("answered adapter=%s", generation.request.adapter or "")
        self._remove(finished)

    def _advance(self, generation: BatchedRequest, scores: Array) -> GeneratedToken:
        request, text = generation.request, generation.text
        token = generation.sampler.choose(scores)
        generation.last_token = token
        generation.generated += 1
        finish: FinishReason | None = None
        if token in self._model.config.stop_tokens and not request.ignore_end:
            finish = FinishReason.STOP
        else:
            text.push(token)
            if generation.generated == request.max_tokens:
                finish = FinishReason.LENGTH
        if finish:
            text.finish()
        if text.stopped_by is not None:
            finish = FinishReason.STOP
        result = GeneratedToken(
            token=token,
            text=text.take(final=finish is not None),
            finish_reason=finish,
            stopped_by=text.stopped_by,
        )
        if request.likeliest is None:
            return result
        logs = log_probabilities(scores)
        order = np.argsort(-logs, kind="stable")[: request.likeliest]
        return dataclasses.replace(
            result,
            log_probability=float(logs[token]),
            likeliest=[(int(other), float(logs[other])) for other in order],
        )

    def _remove(self, generations: list[BatchedRequest]) -> None:
        """Take requests out of the batch; the last row moves into each freed one."""
        for generation in generations:
            row, last = self._running.index(generation), len(self._running) - 1
            if row != last:
                self._cache.move(last, row, self._running[last].length)
                self._running[row] = self._running[last]
            self._running.pop()
            if generation.registered:
                self.tiers.end(generation.registered)


class BatchScheduler:
    """Takes requests on the event loop and drives the batch on the worker thread."""

    def __init__(self, batch: Batch, codec: TextCodec) -> None:
        self._batch, self._codec = batch, codec
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._has_work = asyncio.Event()
        self._driver: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._driver = asyncio.create_task(self._drive())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._driver:
            self._driver.cancel()
            await asyncio.wait([self._driver])
        self._worker.shutdown()

    @property
    def healthy(self) -> bool:
        """Whether requests are being computed."""
        return self._driver is not None and not self._driver.done()

    async def with_adapters(self, call: Callable[[AdapterTiers], Result]) -> Result:
        """Call a function with the adapters, between two tokens."""
        return await self._on_worker(lambda: call(self._batch.tiers))

    async def submit(self, request: GenerationRequest) -> BatchedRequest:
        """Queue a request; the result iterates over its tokens."""
        generation = BatchedRequest(
            request=request,
            text=TextStream(self._codec, request.stop),
            sampler=Sampler(request.sampling),
        )
        if not self.healthy:
            raise ModelServerError(FAILED)
        await self._on_worker(lambda: self._batch.add(generation))
        self._has_work.set()
        return generation

    async def _drive(self) -> None:
        try:
            while True:
                await self._has_work.wait()
                for generation, result in await self._on_worker(self._batch.step):
                    generation.results.put_nowait(result)
                if self._batch.idle:
                    self._has_work.clear()
        except Exception:
            logger.exception("the model failed; no more requests are taken")
            for generation in self._batch.abandon():
                generation.results.put_nowait(ModelServerError(FAILED))

    async def _on_worker(self, call: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, call)
