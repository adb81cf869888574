"""The prefix cache: what it reuses, what it holds, and how an update in place mixes texts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from local_sagemaker.model_server.key_value_cache import KeyValueCache
from local_sagemaker.model_server.llama_config import LlamaConfig
from local_sagemaker.model_server.memory_tiers import RegisteredAdapter
from local_sagemaker.model_server.prefix_cache import BLOCK_TOKENS, AdapterKey, PrefixCache
from tests.local.model_server.conftest import running_server
from tests.local.model_server.protocol_table import HEADER
from tests.local.model_server.tickets import ADAPTERS, BASE

CONFIG = LlamaConfig.from_directory(BASE)
LENGTH = 64
PROMPT = list(range(100, 100 + 3 * BLOCK_TOKENS))


def row_cache(seed: int = 0) -> KeyValueCache:
    """Rows of random keys and values."""
    cache = KeyValueCache(CONFIG, rows=2, length=LENGTH)
    source = np.random.default_rng(seed)
    cache.keys[:] = source.standard_normal(cache.keys.shape)
    cache.values[:] = source.standard_normal(cache.values.shape)
    return cache


def adapter(name: str, path: str = "/somewhere") -> RegisteredAdapter:
    return RegisteredAdapter(name=name, source=Path(path), pinned=False)


def restored(cache: PrefixCache, owner: RegisteredAdapter | None, prompt: list[int]) -> int:
    return cache.restore(owner, prompt, row_cache(1), 0)


@pytest.fixture
def by_name() -> PrefixCache:
    return PrefixCache(AdapterKey.NAME)


def test_stored_blocks_come_back_as_they_were(by_name: PrefixCache) -> None:
    stored, other = row_cache(), row_cache(1)
    by_name.store(adapter("a"), PROMPT, stored, 0)
    stored_keys, stored_values = stored.keys[:, 0].copy(), stored.values[:, 0].copy()
    stored.keys[:] = 0  # the cache has copies

    length = by_name.restore(adapter("a"), [*PROMPT, 7], other, 1)

    assert length == len(PROMPT)
    np.testing.assert_array_equal(other.keys[:, 1, :, :length], stored_keys[:, :, :length])
    np.testing.assert_array_equal(other.values[:, 1, :, :length], stored_values[:, :, :length])


def test_last_token_of_a_prompt_is_computed_each_time(by_name: PrefixCache) -> None:
    by_name.store(None, PROMPT, row_cache(), 0)
    assert restored(by_name, None, PROMPT) == len(PROMPT) - BLOCK_TOKENS
    assert restored(by_name, None, [*PROMPT, 7]) == len(PROMPT)


def test_only_equal_beginnings_are_reused(by_name: PrefixCache) -> None:
    by_name.store(None, PROMPT, row_cache(), 0)
    changed = PROMPT.copy()
    changed[BLOCK_TOKENS + 3] += 1
    assert restored(by_name, None, [*changed, 7]) == BLOCK_TOKENS
    assert restored(by_name, None, [7, *PROMPT]) == 0


def test_part_of_a_block_is_not_kept(by_name: PrefixCache) -> None:
    by_name.store(None, PROMPT[: BLOCK_TOKENS - 1], row_cache(), 0)
    assert by_name.size == 0


def test_adapters_and_the_base_have_blocks_of_their_own(by_name: PrefixCache) -> None:
    by_name.store(adapter("a"), PROMPT, row_cache(), 0)
    assert restored(by_name, adapter("b"), PROMPT) == 0
    assert restored(by_name, None, PROMPT) == 0


@pytest.mark.parametrize(
    ("key", "path", "reused"),
    [
        (AdapterKey.NAME, "/new", True),
        (AdapterKey.PATH, "/new", False),
        (AdapterKey.PATH, "/old", True),
    ],
)
def test_next_registration_of_a_name_finds_the_blocks_of_the_one_before(
    key: AdapterKey, path: str, reused: bool
) -> None:
    cache = PrefixCache(key)
    cache.store(adapter("a", "/old"), PROMPT, row_cache(), 0)
    assert bool(restored(cache, adapter("a", path), PROMPT)) is reused


def test_memory_is_bounded_and_the_least_recently_used_blocks_leave(by_name: PrefixCache) -> None:
    by_name.store(None, PROMPT[:BLOCK_TOKENS], row_cache(), 0)
    block = by_name.size
    small = PrefixCache(AdapterKey.NAME, capacity=2 * block)
    first, second, third = ([number] * BLOCK_TOKENS for number in (1, 2, 3))

    small.store(None, first, row_cache(), 0)
    small.store(None, second, row_cache(), 0)
    restored(small, None, [*first, 7])
    small.store(None, third, row_cache(), 0)

    assert small.size == 2 * block
    assert [restored(small, None, [*prompt, 7]) for prompt in (first, second, third)] == [
        BLOCK_TOKENS,
        0,
        BLOCK_TOKENS,
    ]


# --- on a server


def sentence(name: str, place: str, thing: str) -> str:
    return f"Ticket: {name} from {place} says the {thing} arrived broken. Please help.\nAnswer:\n"


# Prompts of many blocks. Most of their attention is cached when the next version is asked.
LONG_PROMPTS = [
    sentence(name, place, thing) * 8
    + "Ticket: Grace from Lima wants a refund for the keyboard. Thank you.\nAnswer:\n"
    for name, place, thing in (
        ("Emma", "Cairo", "phone"),
        ("Noah", "Oslo", "lamp"),
        ("Tariq", "Berlin", "tablet"),
        ("Mia", "Rome", "chair"),
    )
]


def ask(client: httpx.Client, name: str | None, prompt: str) -> str:
    body = {"prompt": prompt, "max_tokens": 60, "temperature": 0}
    response = client.post("/invocations", json=body, headers={} if name is None else {HEADER: name})
    response.raise_for_status()
    return str(response.json()["choices"][0]["text"])


def register(client: httpx.Client, name: str, directory: Path) -> None:
    client.post("/adapters", params={"name": name, "src": str(directory)}).raise_for_status()


def texts_after_an_update(
    client: httpx.Client, place: Path, *, same_path: bool
) -> tuple[list[str], list[str]]:
    """Update an adapter under its name; return what it answers then, and what it should answer."""
    shutil.copytree(ADAPTERS["summary"], place)
    register(client, "x", place)
    for prompt in LONG_PROMPTS:
        ask(client, "x", prompt)
    client.delete("/adapters/x").raise_for_status()
    if same_path:
        shutil.rmtree(place)
        shutil.copytree(ADAPTERS["shout"], place)
        register(client, "x", place)
    else:
        register(client, "x", ADAPTERS["shout"])
    register(client, "fresh", ADAPTERS["shout"])
    got = [ask(client, "x", prompt) for prompt in LONG_PROMPTS]
    return got, [ask(client, "fresh", prompt) for prompt in LONG_PROMPTS]


@pytest.mark.parametrize(
    ("cache", "same_path", "variables", "mixed"),
    [
        ("by_name", False, {}, True),
        ("by_path", True, {}, True),
        ("by_path", False, {}, False),
        ("off", True, {}, False),
        ("by_name", True, {"OPTION_ENABLE_PREFIX_CACHING": "false"}, False),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else str(value),
)
def test_update_in_place_mixes_texts_where_the_cache_cannot_tell_versions_apart(
    tmp_path: Path,
    cache: str,
    same_path: bool,
    variables: dict[str, Any],
    mixed: bool,
) -> None:
    with running_server(BASE, "--prefix-cache", cache, OPTION_ENABLE_LORA="true", **variables) as client:
        got, right = texts_after_an_update(client, tmp_path / "adapter", same_path=same_path)
    wrong = [text for text, expected in zip(got, right, strict=True) if text != expected]
    assert bool(wrong) is mixed, wrong
