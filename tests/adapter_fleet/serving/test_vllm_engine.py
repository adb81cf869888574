import pytest

from adapter_fleet.serving.vllm_engine import VOCABULARY_MODEL_TYPES, PrefixCacheKey, VllmEngine


@pytest.mark.parametrize(
    ("version", "key"),
    [
        (None, PrefixCacheKey.REGISTRATION),
        ("0.8.4", PrefixCacheKey.REGISTRATION),
        ("0.10.2", PrefixCacheKey.REGISTRATION),
        ("0.11.1", PrefixCacheKey.NAME),
        ("0.30.0", PrefixCacheKey.NAME),
        ("1.0.0", PrefixCacheKey.NAME),
    ],
)
def test_cached_prefixes_are_found_by_what_the_version_puts_into_their_key(
    version: str | None, key: PrefixCacheKey
) -> None:
    assert VllmEngine(version).prefix_cache_key is key


@pytest.mark.parametrize(("version", "may"), [("0.10.2", False), ("0.11.1", True), ("0.31.0", True)])
def test_new_version_may_find_prefixes_of_the_old_one_unless_each_registration_has_a_number(
    version: str, may: bool
) -> None:
    assert VllmEngine(version).may_answer_for_predecessor is may


@pytest.mark.parametrize(
    ("version", "highest", "rank_1"),
    [(None, 256, False), ("0.6.3", 256, False), ("0.8.4", 512, False), ("0.11.1", 512, True)],
)
def test_ranks_came_with_later_versions(version: str | None, highest: int, rank_1: bool) -> None:
    engine = VllmEngine(version)
    assert (engine.highest_rank, engine.serves_rank_1) == (highest, rank_1)


@pytest.mark.parametrize(
    ("version", "biases"), [("0.6.3", False), ("0.6.4", True), ("0.10.2", True), ("0.11.1", False)]
)
def test_biases_came_and_went(version: str, biases: bool) -> None:
    assert VllmEngine(version).may_serve_biases is biases


@pytest.mark.parametrize(
    ("version", "experts", "embeddings"),
    [("0.10.2", False, False), ("0.11.1", True, False), ("0.12.0", True, True)],
)
def test_stacked_experts_and_saved_embeddings_came_later(
    version: str, experts: bool, embeddings: bool
) -> None:
    engine = VllmEngine(version)
    assert (engine.adapts_stacked_experts, engine.skips_embeddings) == (experts, embeddings)


@pytest.mark.parametrize(
    ("version", "adapted"),
    [
        (None, {"llama", "mistral", "phi3"}),
        ("0.14.0", {"llama", "mistral", "phi3"}),
        ("0.15.1", {"llama", "phi3"}),
        ("0.16.0", {"llama", "phi3", "qwen3"}),
        ("0.30.0", {"llama", "phi3", "qwen3"}),
    ],
)
def test_embedding_and_head_are_adapted_of_some_models(version: str | None, adapted: set[str]) -> None:
    engine = VllmEngine(version)
    assert {kind for kind in sorted(VOCABULARY_MODEL_TYPES) if engine.adapts_vocabulary(kind)} == adapted
    assert not engine.adapts_vocabulary("gemma2")
