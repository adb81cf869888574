"""Continuous batching over the tickets model: what is in the batch never changes an answer."""

import asyncio
import dataclasses
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.model_server.errors import AdapterLoadError, ModelServerError, NotFoundError
from local_sagemaker.model_server.llama import LlamaModel
from local_sagemaker.model_server.lora import Adapter
from local_sagemaker.model_server.memory_tiers import AdapterTiers
from local_sagemaker.model_server.prefix_cache import BLOCK_TOKENS, AdapterKey, PrefixCache
from local_sagemaker.model_server.sampling import Sampling
from local_sagemaker.model_server.scheduler import Batch, BatchedRequest, BatchScheduler, GenerationRequest
from local_sagemaker.model_server.text import TextCodec
from tests.local.model_server.tickets import ADAPTERS, BASE, KINDS, PROMPTS

CONTEXT = 512
GREEDY = Sampling(temperature=0)
Run = Callable[..., Any]


class SpiedModel(LlamaModel):
    """The model, counting the rows and the positions of each pass; fails when told to."""

    rows: list[int]
    steps: list[int]
    fails = False

    def forward(self, tokens: Any, *arguments: Any) -> Any:
        if self.fails:
            raise ArithmeticError("told to fail")
        self.rows.append(len(tokens))
        self.steps.append(tokens.shape[1])
        return super().forward(tokens, *arguments)


@pytest.fixture(scope="module")
def loaded_model() -> SpiedModel:
    return SpiedModel.from_directory(BASE)


@pytest.fixture
def model(loaded_model: SpiedModel) -> SpiedModel:
    loaded_model.rows, loaded_model.steps, loaded_model.fails = [], [], False
    return loaded_model


@pytest.fixture(scope="module")
def codec() -> TextCodec:
    return TextCodec(BASE)


@pytest.fixture
def run(model: SpiedModel, codec: TextCodec) -> Callable[..., Any]:
    """Run a scenario on a scheduler with every adapter registered."""

    def run(
        scenario: Callable[[BatchScheduler], Awaitable[Any]],
        *,
        max_batch_size: int = 8,
        max_loras: int = 4,
        prefix_cache: PrefixCache | None = None,
        evicts_running: bool = False,
    ) -> Any:
        def load(source: Path) -> Adapter:
            return Adapter.from_directory(source, projections=model.config.projections(), max_rank=8)

        async def within() -> Any:
            tiers = AdapterTiers(load, max_loras=max_loras, max_cpu_loras=8, evicts_running=evicts_running)
            for name, directory in ADAPTERS.items():
                tiers.register(name, directory, preload=True, pin=False)
            batch = Batch(model, tiers, max_size=max_batch_size, context=CONTEXT, prefix_cache=prefix_cache)
            scheduler = BatchScheduler(batch, codec)
            async with scheduler:
                return await scenario(scheduler)

        return asyncio.run(within())

    return run


def ask(codec: TextCodec, kind: str, prompt: str, **settings: Any) -> GenerationRequest:
    request = GenerationRequest(
        prompt=codec.encode(prompt),
        max_tokens=60,
        sampling=GREEDY,
        adapter=None if kind == "base" else kind,
    )
    return dataclasses.replace(request, **settings)


async def text_of(generation: BatchedRequest) -> str:
    return "".join([step.text async for step in generation])


async def answer(scheduler: BatchScheduler, request: GenerationRequest) -> str:
    return await text_of(await scheduler.submit(request))


async def tokens(scheduler: BatchScheduler, request: GenerationRequest) -> list[int]:
    return [step.token async for step in await scheduler.submit(request)]


@pytest.mark.parametrize("cached", [False, True], ids=["no prefix cache", "prefix cache"])
def test_mixed_batch_gives_every_request_the_tokens_it_gets_alone(
    run: Run, codec: TextCodec, model: SpiedModel, cached: bool
) -> None:
    requests = [ask(codec, kind, entry["prompt"]) for entry in PROMPTS[:6] for kind in KINDS]

    async def together(scheduler: BatchScheduler) -> list[list[int]]:
        running = []
        for request in requests:  # they join one after another, while others run and end
            running.append(asyncio.create_task(tokens(scheduler, request)))
            await asyncio.sleep(0.001)
        return await asyncio.gather(*running)

    async def alone(scheduler: BatchScheduler) -> list[list[int]]:
        return [await tokens(scheduler, request) for request in requests]

    batched = run(together, prefix_cache=PrefixCache(AdapterKey.NAME) if cached else None)
    assert 1 < max(model.rows) <= 8
    model.rows.clear()
    assert batched == run(alone)
    assert max(model.rows) == 1


def test_cached_beginning_of_a_prompt_is_not_computed_again(
    run: Run, codec: TextCodec, model: SpiedModel
) -> None:
    request = ask(codec, "triage", PROMPTS[0]["prompt"], max_tokens=1)
    length = len(request.prompt)

    async def thrice(scheduler: BatchScheduler) -> list[list[int]]:
        other = dataclasses.replace(request, adapter=None)
        return [await tokens(scheduler, each) for each in (request, request, other)]

    first, second, _ = run(thrice, prefix_cache=PrefixCache(AdapterKey.NAME))

    reused = (length - 1) // BLOCK_TOKENS * BLOCK_TOKENS
    assert reused > 0
    assert model.steps == [length, length - reused, length]
    assert first == second


def test_padding_beside_a_long_prompt_ends_with_the_context(run: Run, codec: TextCodec) -> None:
    filler = codec.encode("Ticket: Emma from Cairo cannot track the phone parcel.\nAnswer:\n")
    prompt = (filler * 40)[: CONTEXT - 2]
    long = dataclasses.replace(ask(codec, "base", ""), prompt=prompt, max_tokens=2, ignore_end=True)
    fresh = ask(codec, "base", PROMPTS[0]["prompt"] * 8)

    async def scenario(scheduler: BatchScheduler) -> tuple[list[int], list[list[int]]]:
        first = await tokens(scheduler, long)
        # The rest of the long prompt is short now, and it is padded to the length of the fresh one.
        beside = await asyncio.gather(tokens(scheduler, long), tokens(scheduler, fresh))
        return first, list(beside)

    first, (second, _) = run(scenario, prefix_cache=PrefixCache(AdapterKey.NAME))
    assert first == second
    assert len(prompt) + len(first) == CONTEXT


def test_seed_gives_the_same_tokens_whatever_else_is_in_the_batch(run: Run, codec: TextCodec) -> None:
    hot = Sampling(temperature=4.0, seed=7)
    request = ask(codec, "triage", PROMPTS[0]["prompt"], sampling=hot, ignore_end=True)

    async def together(scheduler: BatchScheduler) -> list[int]:
        others = [ask(codec, kind, PROMPTS[1]["prompt"], sampling=Sampling()) for kind in KINDS]
        found, *_ = await asyncio.gather(*(tokens(scheduler, each) for each in (request, *others)))
        return found

    async def alone(scheduler: BatchScheduler) -> list[int]:
        return await tokens(scheduler, request)

    assert run(together) == run(alone)


def test_request_whose_adapter_has_no_slot_is_overtaken(run: Run, codec: TextCodec) -> None:
    async def scenario(scheduler: BatchScheduler) -> list[str]:
        done: list[str] = []

        async def follow(kind: str, generation: BatchedRequest) -> None:
            await text_of(generation)
            done.append(kind)

        long = ask(codec, "triage", PROMPTS[0]["prompt"], max_tokens=200, ignore_end=True)
        running = await scheduler.submit(long)
        await anext(running)
        blocked = await scheduler.submit(ask(codec, "shout", PROMPTS[0]["prompt"]))
        behind = await scheduler.submit(ask(codec, "base", PROMPTS[0]["prompt"]))
        await asyncio.gather(follow("triage", running), follow("shout", blocked), follow("base", behind))
        return done

    assert run(scenario, max_loras=1) == ["base", "triage", "shout"]


def test_request_that_nobody_follows_is_computed_to_its_end(run: Run, codec: TextCodec) -> None:
    async def scenario(scheduler: BatchScheduler) -> int:
        endless = ask(codec, "triage", PROMPTS[0]["prompt"], max_tokens=50, ignore_end=True)
        left = await scheduler.submit(endless)
        await anext(left)
        await answer(scheduler, ask(codec, "shout", PROMPTS[0]["prompt"]))
        return left.generated

    assert run(scenario, max_batch_size=1) == 50


def test_running_and_queued_requests_keep_the_adapter_their_name_meant(run: Run, codec: TextCodec) -> None:
    prompt, expected = PROMPTS[0]["prompt"], PROMPTS[0]["answers"]

    async def scenario(scheduler: BatchScheduler) -> tuple[str, str, str]:
        running = await scheduler.submit(ask(codec, "summary", prompt))
        first = await anext(running)
        queued = await scheduler.submit(ask(codec, "summary", prompt))
        await scheduler.with_adapters(lambda tiers: tiers.unregister("summary"))
        with pytest.raises(NotFoundError, match="adapter 'summary' is not registered"):
            await scheduler.submit(ask(codec, "summary", prompt))
        await scheduler.with_adapters(
            lambda tiers: tiers.register("summary", ADAPTERS["summary-v2"], preload=True, pin=False)
        )
        after = await scheduler.submit(ask(codec, "summary", prompt))
        rest, second, third = await asyncio.gather(text_of(running), text_of(queued), text_of(after))
        return first.text + rest, second, third

    found = run(scenario, max_batch_size=1)

    assert found == (expected["summary"], expected["summary"], expected["summary-v2"])


@pytest.mark.parametrize("evicts_running", [False, True], ids=["idle", "running"])
def test_adapter_that_is_added_takes_the_slot_of_a_running_one_where_the_engine_has_that_fault(
    run: Run, codec: TextCodec, evicts_running: bool
) -> None:
    prompt, expected = PROMPTS[0]["prompt"], PROMPTS[0]["answers"]

    async def scenario(scheduler: BatchScheduler) -> tuple[str, str]:
        running = await scheduler.submit(ask(codec, "summary", prompt))
        first = await anext(running)
        await scheduler.with_adapters(
            lambda tiers: tiers.register("another", ADAPTERS["shout"], preload=True, pin=False)
        )
        rest = await text_of(running)
        return first.text + rest, await answer(scheduler, ask(codec, "summary", prompt))

    in_flight, after = run(scenario, max_loras=1, evicts_running=evicts_running)

    assert (in_flight == expected["summary"]) is not evicts_running
    assert after == expected["summary"]


def test_adapter_that_fails_to_load_fails_its_request_alone(
    run: Run, codec: TextCodec, tmp_path: Path
) -> None:
    source = shutil.copytree(ADAPTERS["triage"], tmp_path / "late")

    async def scenario(scheduler: BatchScheduler) -> list[Any]:
        await scheduler.with_adapters(lambda tiers: tiers.register("late", source, preload=False, pin=False))
        shutil.rmtree(source)
        requests = [ask(codec, kind, PROMPTS[0]["prompt"]) for kind in ("late", "shout", "late", "base")]
        return await asyncio.gather(
            *(answer(scheduler, request) for request in requests), return_exceptions=True
        )

    found = run(scenario)

    assert [found[1], found[3]] == [PROMPTS[0]["answers"]["shout"], PROMPTS[0]["answers"]["base"]]
    assert isinstance(found[0], AdapterLoadError)
    assert isinstance(found[2], AdapterLoadError)
    assert "cannot read adapter_config.json" in str(found[0])


def test_failure_of_the_model_is_told_to_everyone_and_shows_in_health(
    run: Run, codec: TextCodec, model: SpiedModel
) -> None:
    async def scenario(scheduler: BatchScheduler) -> tuple[bool, list[Any], bool]:
        before = scheduler.healthy
        model.fails = True
        requests = [ask(codec, kind, PROMPTS[0]["prompt"]) for kind in KINDS]
        found = await asyncio.gather(
            *(answer(scheduler, request) for request in requests), return_exceptions=True
        )
        with pytest.raises(ModelServerError, match="the model has failed"):
            await scheduler.submit(requests[0])
        return before, found, scheduler.healthy

    before, found, after = run(scenario, max_batch_size=2)

    assert (before, after) == (True, False)
    assert [type(each) for each in found] == [ModelServerError] * len(KINDS)
