"""What is in the accelerators' memory: the published figures exactly, and what holds for any model."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_fleet.serving.base_model import Dimensions
from adapter_rules.engines.engine_settings import EngineSettings
from adapter_rules.engines.lora_limits import LORA_RANKS, LoraServing
from adapter_rules.hardware.instance_types import A10G
from adapter_rules.hardware.memory import (
    GpuMemory,
    TierCounts,
    cpu_bytes,
    gpu_memory,
    linear_slot_bytes,
    problem_of_split,
    slot_bytes,
    token_bytes,
    weight_bytes,
)
from adapter_rules.hardware.model_shape import KNOWN_MODELS, ModelShape, known_model_hint, known_shape
from tests.adapter_rules.bad_adapters import BASE

MIB = 1024**2

LLAMA_CONFIG = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}


def shape_of(**changes: Any) -> ModelShape:
    shape = ModelShape.from_config({**LLAMA_CONFIG, **changes})
    assert shape is not None
    return shape


LLAMA = shape_of()
SERVING = LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64)
ENGINE = EngineSettings(max_model_len=6000)
SHARDED = replace(ENGINE, fully_sharded=True)


def on_a10g(
    accelerators: int,
    *,
    shape: ModelShape = LLAMA,
    lora: LoraServing = SERVING,
    engine: EngineSettings = ENGINE,
) -> GpuMemory:
    return gpu_memory(shape, lora, engine, accelerator=A10G, accelerators=accelerators)


class TestSlots:
    @pytest.mark.parametrize(("rank", "mib"), [(16, 80), (64, 320), (256, 1280)])
    def test_linear_modules_of_llama_8b_take_what_was_published(self, rank: int, mib: int) -> None:
        assert linear_slot_bytes(LLAMA, ENGINE, rank) == mib * MIB

    def test_each_matrix_is_split_as_vllm_splits_it(self) -> None:
        # q, k, v, gate and up: A whole, B split. o and down: A split, B whole.
        whole_a = 5 * 4096
        split_b = (4096 + 2 * 1024 + 2 * 14336) // 4
        split_a, whole_b = (4096 + 14336) // 4, 2 * 4096
        numbers = 32 * 64 * (whole_a + split_b + split_a + whole_b)
        assert linear_slot_bytes(LLAMA, ENGINE, 64, 4) == 2 * numbers == 164 * MIB

    def test_full_sharding_divides_them_by_the_accelerators(self) -> None:
        sharded = linear_slot_bytes(LLAMA, SHARDED, 64, 4)
        assert 4 * sharded == linear_slot_bytes(LLAMA, ENGINE, 64)

    def test_heads_that_are_fewer_than_the_accelerators_are_repeated(self) -> None:
        on_8 = linear_slot_bytes(LLAMA, ENGINE, 64, 8)
        on_16 = linear_slot_bytes(LLAMA, ENGINE, 64, 16)
        # What halves: B of q, gate and up, A of o and down; B of k and v stays that of one head each.
        halves = 2 * 32 * 64 * ((4096 + 2 * 14336) + (4096 + 14336)) // 8 // 2
        assert on_8 - on_16 == halves
        # What a module halves of its weights, and of the vocabulary's two matrices.
        weights = 32 * 4096 * (2 * 4096 + 3 * 14336) + 2 * 128256 * 4096
        assert weight_bytes(LLAMA, ENGINE, 8) - weight_bytes(LLAMA, ENGINE, 16) == 2 * weights // 16

    def test_vocabulary_has_slots_of_its_own_that_are_whole_on_each_accelerator(self) -> None:
        vocabulary = 2 * (128256 + 4096) * 64 * 2
        for parallel in (1, 4):
            assert (
                slot_bytes(LLAMA, ENGINE, 64, parallel)
                == linear_slot_bytes(LLAMA, ENGINE, 64, parallel) + vocabulary
            )

    def test_engine_makes_no_vocabulary_slots_for_qwen(self) -> None:
        qwen = shape_of(model_type="qwen2")
        assert slot_bytes(qwen, ENGINE, 64) == linear_slot_bytes(qwen, ENGINE, 64)

    @pytest.mark.parametrize(("own", "number_bytes", "expected"), [(None, 2, 1), (None, 4, 2), (2, 4, 1)])
    def test_data_type_is_the_models_unless_it_is_set(
        self, own: int | None, number_bytes: int, expected: int
    ) -> None:
        engine = EngineSettings(number_bytes=number_bytes, lora_bytes=own)
        assert on_a10g(1, engine=engine).slot == expected * slot_bytes(LLAMA, ENGINE, 64)


def published(parameters: int) -> Any:
    """Return a published number of parameters, but for norms and biases."""
    return pytest.approx(parameters, rel=0.0002)


def splits(shape: ModelShape, most: int) -> list[int]:
    """Return the numbers of accelerators, up to the most, over which a model can be split."""
    return [count for count in range(1, most + 1) if problem_of_split(shape, count) is None]


@st.composite
def shapes(draw: st.DrawFn) -> ModelShape:
    key_value_heads = draw(st.sampled_from([1, 2, 4, 8]))
    heads = key_value_heads * draw(st.sampled_from([1, 2, 4]))
    return shape_of(
        model_type=draw(st.sampled_from(["llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2"])),
        hidden_size=heads * draw(st.sampled_from([8, 64, 128])),
        head_dim=draw(st.sampled_from([None, 32, 256])),
        intermediate_size=draw(st.integers(1, 20_000)),
        num_hidden_layers=draw(st.integers(1, 80)),
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        vocab_size=draw(st.integers(1, 260_000)),
        tie_word_embeddings=draw(st.booleans()),
    )


RANKS = st.sampled_from([1, *LORA_RANKS])
PARALLEL = st.sampled_from([1, 2, 3, 4, 8])


class TestAnyModel:
    @given(shapes(), RANKS, PARALLEL, st.booleans())
    def test_an_accelerator_has_no_more_than_one_alone_and_no_less_than_its_share(
        self, shape: ModelShape, rank: int, parallel: int, fully: bool
    ) -> None:
        slot = slot_bytes(shape, EngineSettings(fully_sharded=fully), rank, parallel)
        assert slot <= slot_bytes(shape, ENGINE, rank) <= parallel * slot
        weights = weight_bytes(shape, ENGINE, parallel)
        assert weights <= weight_bytes(shape, ENGINE) <= parallel * weights
        assert token_bytes(shape, ENGINE, parallel) <= token_bytes(shape, ENGINE)

    @given(shapes(), RANKS)
    def test_most_slots_fit_and_one_more_does_not(self, shape: ModelShape, rank: int) -> None:
        most = on_a10g(1, shape=shape, lora=replace(SERVING, max_lora_rank=rank)).most_loras

        def fits(count: int) -> bool:
            lora = LoraServing(max_loras=count, max_cpu_loras=count, max_lora_rank=rank)
            return on_a10g(1, shape=shape, lora=lora).fits

        assert not fits(most + 1)
        assert most == 0 or fits(most)


class TestWeights:
    @pytest.mark.parametrize(
        ("values", "parameters"),
        [
            # From the cards of Qwen2.5-7B, Qwen3-8B, Gemma-2-9B, Phi-4 and Gemma-3-1B.
            (("qwen2", 3584, 18_944, 28, 28, 4, None, 152_064), 7_615_616_512),
            (("qwen3", 4096, 12_288, 36, 32, 8, 128, 151_936), 8_190_735_360),
            (("gemma2", 3584, 14_336, 42, 16, 8, 256, 256_000), 9_241_705_984),
            (("phi3", 5120, 17_920, 40, 40, 10, None, 100_352), 14_659_507_200),
            (("gemma3_text", 1152, 6_912, 26, 4, 1, 256, 262_144), 999_885_952),
        ],
    )
    def test_other_families_have_as_many_parameters_as_published(
        self, values: tuple[object, ...], parameters: int
    ) -> None:
        """Gemma's embedding and head are one, where the configuration does not say so."""
        keys = ["model_type", "hidden_size", "intermediate_size", "num_hidden_layers"]
        keys += ["num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size"]
        shape = ModelShape.from_config(dict(zip(keys, values, strict=True)))
        assert shape is not None
        assert shape.parameters == published(parameters)

    @pytest.mark.parametrize(
        ("quantization", "bits"),
        [
            ({"quant_method": "awq", "bits": 4, "group_size": 128}, 4 + 20 / 128),
            ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 8),
            ({"quant_method": "fp8"}, 8),
            ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4.5),
            (
                {
                    "quant_method": "compressed-tensors",
                    "config_groups": {"group_0": {"weights": {"num_bits": 8, "group_size": None}}},
                },
                8,
            ),
        ],
    )
    def test_quantization_is_of_the_linear_modules_alone(
        self, quantization: dict[str, Any], bits: float
    ) -> None:
        shape = shape_of(quantization_config=quantization)
        assert weight_bytes(shape, EngineSettings()) == pytest.approx(
            (shape.parameters - shape.vocabulary_parameters) * bits / 8 + 2 * shape.vocabulary_parameters
        )

    @pytest.mark.parametrize(
        "quantization",
        [
            {"quant_method": "new"},
            {"quant_method": "compressed-tensors", "config_groups": {"": None}},
            {},
            *({"quant_method": "awq", "bits": bits} for bits in (10**400, 65, 0, -8, True)),
            {"quant_method": "gptq", "group_size": 10**400},
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"": {"weights": {"num_bits": 10**400, "group_size": 1}}},
            },
            {"quant_method": ["x" * 10_000]},
        ],
    )
    def test_quantization_that_is_not_known_is_an_error(self, quantization: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"weights in the quantization .{0,100} is not known"):
            weight_bytes(shape_of(quantization_config=quantization), EngineSettings())

    def test_engine_may_quantize_them_when_it_loads_them(self) -> None:
        half = weight_bytes(LLAMA, EngineSettings(quantize_bits=8))
        assert weight_bytes(LLAMA, EngineSettings()) - half == LLAMA.parameters - LLAMA.vocabulary_parameters


class TestShape:
    @pytest.mark.parametrize(
        "change",
        [
            {"model_type": "mixtral"},
            {"model_type": ["llama"]},
            {"hidden_size": 0},
            {"vocab_size": "many"},
            {"num_hidden_layers": None},
        ],
    )
    def test_configuration_of_another_kind_has_none(self, change: dict[str, Any]) -> None:
        assert ModelShape.from_config({**LLAMA_CONFIG, **change}) is None

    @pytest.mark.parametrize(
        ("name", "parameters"),
        [
            ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
            ("/models/llama-3.1-8b/", 8_030_261_248),
            ("Llama-3.2-1B", 1_235_814_400),
            ("Llama-3.3-70B-Instruct", 70_553_706_496),
        ],
    )
    def test_well_known_model_is_known_by_the_end_of_its_name(self, name: str, parameters: int) -> None:
        shape = known_shape(name)
        assert shape is not None
        assert (shape.parameters, shape.context) == (published(parameters), 131072)

    def test_every_known_model_has_a_shape_and_no_other_one(self) -> None:
        assert all(known_shape(name) for name in KNOWN_MODELS)
        assert known_shape("acme/own-8b") is known_shape(None) is None

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("models/meta-llama-Llama-3.1-8B-Instruct/", "llama-3.1-8b-instruct"),
            ("meta-llama/Llama-3.1-8B-Instrct", "llama-3.1-8b-instruct"),
            ("meta-llama/Lama-3.3-70B", "llama-3.3-70b"),
        ],
    )
    def test_name_that_is_near_a_known_model_hints_at_it(self, name: str, meant: str) -> None:
        assert known_model_hint(name) == f"did you mean {meant!r}?"

    @pytest.mark.parametrize("name", ["", "base/", "Qwen/Qwen2.5-7B-Instruct"])
    def test_name_of_another_model_hints_at_all_known_ones(self, name: str) -> None:
        assert known_model_hint(name).startswith("known are llama-3.1-8b, ")

    @pytest.mark.parametrize(
        "name", [*(key for key, value in BASE.items() if isinstance(value, int)), "head_dim"]
    )
    def test_number_that_is_no_dimension_makes_the_model_unknown(self, name: str) -> None:
        assert Dimensions.from_config({**BASE, name: 4}) is not None
        for number in (10**300, 1e300, -1):
            assert Dimensions.from_config({**BASE, name: number}) is None

    def test_context_that_no_model_has_is_not_known(self) -> None:
        memory = on_a10g(4, shape=shape_of(max_position_embeddings=10**400), engine=EngineSettings())
        assert (memory.fits, memory.max_model_len) == (True, None)


def test_token_takes_a_key_and_a_value_in_each_layer() -> None:
    assert token_bytes(LLAMA, ENGINE) == 2 * 32 * 8 * 128 * 2 == 128 * 1024
    assert token_bytes(LLAMA, EngineSettings(cache_bytes=1)) == 64 * 1024


class TestFit:
    def test_set_up_of_the_announcement_fits(self) -> None:
        memory = on_a10g(4)
        assert memory.fits
        assert (memory.tokens, memory.most_loras) == (288_656, 74)

    @pytest.mark.parametrize(
        ("accelerators", "engine", "message"),
        [
            (3, ENGINE, "cannot be split over 3 accelerators: its 32 attention heads and 8 key-value heads"),
            (
                2,
                replace(ENGINE, tensor_parallel=4),
                "'OPTION_TENSOR_PARALLEL_DEGREE' should be at most 2, the accelerators of a copy, got 4",
            ),
        ],
    )
    def test_copy_that_cannot_be_split_so_is_an_error(
        self, accelerators: int, engine: EngineSettings, message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            on_a10g(accelerators, engine=engine)

    def test_key_value_heads_may_be_repeated_but_evenly(self) -> None:
        assert splits(LLAMA, 32) == [1, 2, 4, 8, 16, 32]
        assert splits(shape_of(num_key_value_heads=4), 8) == [1, 2, 4, 8]

    def test_width_that_does_not_divide_is_an_error(self) -> None:
        with pytest.raises(ValueError, match=r"the 14340 inputs of 'mlp\.down_proj' do not divide by"):
            on_a10g(8, shape=shape_of(intermediate_size=14_340))


def test_modules_of_one_for_several_take_what_those_would() -> None:
    """But for the matrices A, of which there is one for three, and one for two."""
    widths = {"hidden_size": 5120, "num_attention_heads": 40, "num_key_value_heads": 10}
    phi, llama = shape_of(model_type="phi3", **widths), shape_of(**widths)
    for parallel in (1, 2, 5, 10, 20):
        more = 3 * 32 * 16 * 5120 * 2  # two and one matrices A of each layer, each of 16 x 5,120
        assert linear_slot_bytes(phi, ENGINE, 16, parallel) + more == linear_slot_bytes(
            llama, ENGINE, 16, parallel
        )
        assert weight_bytes(phi, ENGINE, parallel) == weight_bytes(llama, ENGINE, parallel)
        assert token_bytes(phi, ENGINE, parallel) == token_bytes(llama, ENGINE, parallel)


class TestTiers:
    """Where adapters are: `max_cpu_loras` counts those in GPU memory, too."""

    @pytest.mark.parametrize(
        ("adapters", "expected"),
        [(0, (0, 0, 0)), (30, (30, 0, 0)), (31, (30, 1, 0)), (70, (30, 40, 0)), (200, (30, 40, 130))],
    )
    def test_adapters_fill_the_tiers_from_the_top(
        self, adapters: int, expected: tuple[int, int, int]
    ) -> None:
        tiers = TierCounts.of(adapters, SERVING)
        assert (tiers.gpu, tiers.cpu, tiers.disk) == expected
        assert tiers.adapters == adapters

    @pytest.mark.parametrize(("adapters", "mostly"), [(0, False), (140, False), (141, True)])
    def test_mostly_on_disk_is_more_than_half(self, adapters: int, mostly: bool) -> None:
        assert TierCounts.of(adapters, SERVING).mostly_on_disk is mostly

    def test_cpu_memory_is_that_of_the_largest_adapters_that_it_may_hold_in_each_worker(self) -> None:
        def memory(*ranks: int | None, workers: int = 1) -> float:
            return cpu_bytes(LLAMA, EngineSettings(), ranks, SERVING, workers=workers) / MIB

        assert memory(16, 32) == 80 + 160
        # An unknown rank counts as the highest.
        assert memory(None) == 320
        assert memory(*[16] * 70, 64) == 320 + 69 * 80
        assert memory(16, workers=4) == 4 * 80
