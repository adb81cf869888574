"""The prefix cache: what it reuses, and what it holds."""

from pathlib import Path

import numpy as np
import pytest

from local_sagemaker.model_server.llama import KeyValueCache
from local_sagemaker.model_server.llama_config import LlamaConfig
from local_sagemaker.model_server.memory_tiers import RegisteredAdapter
from local_sagemaker.model_server.prefix_cache import BLOCK_TOKENS, AdapterKey, PrefixCache
from tests.local.model_server.tickets import BASE

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


def test_only_whole_blocks_of_equal_beginnings_are_reused(by_name: PrefixCache) -> None:
    by_name.store(None, PROMPT[: BLOCK_TOKENS - 1], row_cache(), 0)
    assert by_name.size == 0
    by_name.store(None, PROMPT, row_cache(), 0)
    changed = PROMPT.copy()
    changed[BLOCK_TOKENS + 3] += 1
    assert restored(by_name, None, [*PROMPT, 7]) == len(PROMPT)
    assert restored(by_name, None, PROMPT) == len(PROMPT) - BLOCK_TOKENS, "the last token is computed"
    assert restored(by_name, None, [*changed, 7]) == BLOCK_TOKENS
    assert restored(by_name, None, [7, *PROMPT]) == 0
    # Adapters have blocks of their own.
    assert restored(by_name, adapter("a"), PROMPT) == 0
    by_name.store(adapter("a"), PROMPT, row_cache(), 0)
    assert restored(by_name, adapter("a"), [*PROMPT, 7]) == len(PROMPT)
    assert restored(by_name, adapter("b"), PROMPT) == 0


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
