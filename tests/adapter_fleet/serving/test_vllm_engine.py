import pytest

from adapter_fleet.serving.vllm_engine import VOCABULARY_MODEL_TYPES, PrefixCacheKey, VllmEngine


@pytest.mark.parametrize(
    ("version", "highest_rank", "rank_1", "biases", "experts", "embeddings", "by_name"),
    [
        (None, 256, False, False, False, False, False),
        ("0.6.3", 256, False, False, False, False, False),
        ("0.6.4", 256, False, True, False, False, False),
        ("0.8.4", 512, False, True, False, False, False),
        ("0.10.2", 512, False, True, False, False, False),
        ("0.11.1", 512, True, False, True, False, True),
        ("0.12.0", 512, True, False, True, True, True),
        ("1.0.0", 512, True, False, True, True, True),
    ],
)
def test_what_the_engine_serves_came_and_went_with_its_versions(
    version: str | None,
    highest_rank: int,
    rank_1: bool,
    biases: bool,
    experts: bool,
    embeddings: bool,
    by_name: bool,
) -> None:
    engine = VllmEngine(version)
    assert (engine.highest_rank, engine.serves_rank_1) == (highest_rank, rank_1)
    assert engine.may_serve_biases is biases
    assert (engine.adapts_stacked_experts, engine.skips_embeddings) == (experts, embeddings)
    # A new version finds what its predecessor cached, unless each registration has a number of its own.
    assert engine.prefix_cache_key is (PrefixCacheKey.NAME if by_name else PrefixCacheKey.REGISTRATION)
    assert engine.may_answer_for_predecessor is by_name


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
