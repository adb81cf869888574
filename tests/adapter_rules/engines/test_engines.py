"""The containers' releases and their engines: environments, ranks, faults, and the limits on adapters."""

import re
from collections.abc import Iterable

import pytest
from botocore.loaders import Loader

from adapter_rules.engines.container_releases import (
    INFERENCE_AMI_FOR_CUDA_13,
    NEWEST_LMI,
    ContainerRelease,
    LmiVersion,
    VllmVersion,
)
from adapter_rules.engines.lora_limits import LoraServing
from adapter_rules.engines.vllm_engine import VOCABULARY_MODEL_TYPES, VllmEngine
from adapter_rules.hardware.instance_types import check_instance_type

LORA = LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64)
SIZES = {
    "OPTION_ENABLE_LORA": "true",
    "OPTION_MAX_LORAS": "30",
    "OPTION_MAX_CPU_LORAS": "70",
    "OPTION_MAX_LORA_RANK": "64",
}


@pytest.mark.parametrize(
    ("loras", "cpu_loras", "rank", "message"),
    [
        (1, 1, 48, r"'max_lora_rank' should be one of 8, 16, 32, .* 512 .*, got 48$"),
        (30, 29, 64, r"'max_cpu_loras' should be at least 30, .* got 29$"),
        (0, 0, 8, r"'max_loras' should be at least 1, got 0$"),
    ],
)
def test_limit_that_the_engine_would_refuse_is_an_error(
    loras: int, cpu_loras: int, rank: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LoraServing(max_loras=loras, max_cpu_loras=cpu_loras, max_lora_rank=rank)


class TestInstanceTypes:
    HOSTING = Loader().load_service_model("sagemaker", "service-2")["shapes"]["ProductionVariantInstanceType"]
    WITH_GPUS = re.compile(r"ml\.(g|p[3-9])")

    def test_types_with_gpus_of_nvidia_alone_are_accepted(self) -> None:
        for name in self.HOSTING["enum"]:
            if self.WITH_GPUS.match(name):
                check_instance_type("instance_type", name)
                continue
            message = rf"^'instance_type' should be .* GPUs .*, got '{name}', which has \w"
            with pytest.raises(ValueError, match=message):
                check_instance_type("instance_type", name)

    @pytest.mark.parametrize("name", ["ml.x2idn.16xlarge", "ml.f1.2xlarge"])
    def test_no_type_without_gpus_is_near_an_unknown_one(self, name: str) -> None:
        with pytest.raises(ValueError, match="should be a hosting instance type") as raised:
            check_instance_type("instance_type", name)
        for near in re.findall(r"'(ml\.[^']+)'", str(raised.value).partition(", got ")[0]):
            check_instance_type("instance_type", near)


class TestLmi:
    @pytest.mark.parametrize("version", [LmiVersion.V16, NEWEST_LMI])
    def test_adapters_are_served_from_the_asynchronous_engine(self, version: LmiVersion) -> None:
        assert version.environment(LORA, prefix_caching=True) == SIZES | {
            "OPTION_ASYNC_MODE": "true",
            "OPTION_ROLLING_BATCH": "disable",
            "OPTION_ENTRYPOINT": "djl_python.lmi_vllm.vllm_async_service",
            "SERVING_FAIL_FAST": "true",
        }

    def test_rank_that_came_with_a_later_engine_is_refused(self) -> None:
        lora = LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=1)
        with pytest.raises(ValueError, match="'max_lora_rank' should be at least 8 with LMI 16, got 1"):
            LmiVersion.V16.environment(lora, prefix_caching=True)
        LmiVersion.V17.environment(lora, prefix_caching=True)

    @pytest.mark.parametrize(
        ("version", "value"),
        [
            # The cache of the first one knows each registration.
            (LmiVersion.V16, None),
            (LmiVersion.V17, "--no-enable-prefix-caching"),
            (LmiVersion.V26, "--no-enable-prefix-caching"),
            (LmiVersion.V27, "false"),
        ],
    )
    def test_prefix_caching_is_switched_off_by_a_value_that_the_release_passes_on(
        self, version: LmiVersion, value: str | None
    ) -> None:
        """Up to LMI 26 the container drops "false"."""
        off = {} if value is None else {"OPTION_ENABLE_PREFIX_CACHING": value}
        with_caching = version.environment(LORA, prefix_caching=True)
        assert version.prefix_caching_off == off
        assert version.environment(LORA, prefix_caching=False) == with_caching | off
        assert "OPTION_ENABLE_PREFIX_CACHING" not in with_caching


class TestVllmContainer:
    @pytest.mark.parametrize("version", [VllmVersion.V1_3, VllmVersion.V2_6])
    def test_adapters_can_be_registered_and_none_finds_prefixes_of_its_predecessor(
        self, version: VllmVersion
    ) -> None:
        without_caching = version.environment(LORA, prefix_caching=False)
        assert without_caching == {
            "SM_VLLM_ENABLE_LORA": "true",
            "SM_VLLM_MAX_LORAS": "30",
            "SM_VLLM_MAX_CPU_LORAS": "70",
            "SM_VLLM_MAX_LORA_RANK": "64",
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true",
            "SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true",
        }
        del without_caching["SM_VLLM_NO_ENABLE_PREFIX_CACHING"]
        assert version.environment(LORA, prefix_caching=True) == without_caching

    def test_release_is_found_by_its_number(self) -> None:
        assert VllmVersion.numbered("2.0") is VllmVersion.V2_0
        with pytest.raises(ValueError, match=r"should be one of 1\.3, 1\.4, 2\.0, .*2\.6, got '2\.60'"):
            VllmVersion.numbered("2.60")

    def test_releases_on_cuda_13_begin_with_2(self) -> None:
        older = [version.number for version in VllmVersion if not version.needs_newer_ami]
        assert older == ["1.3", "1.4"]


def faults_of(releases: Iterable[ContainerRelease]) -> dict[str, list[str]]:
    found = {str(one.number): [fault.id for fault in one.known_faults] for one in releases}
    return {number: ids for number, ids in found.items() if ids}


class TestKnownFaults:
    SWAPPED = "adapter-swapped-in-flight"

    def test_release_that_may_answer_with_another_adapter_and_one_that_no_source_knows_are_told(self) -> None:
        older = [str(number) for number in range(16, 28)]
        assert faults_of(LmiVersion) == {
            **{key: [self.SWAPPED] for key in older},
            "16": [self.SWAPPED, "lmi16-wrong-adapter"],
            "17": [self.SWAPPED, "lmi16-wrong-adapter"],
            "29": ["lmi29-adapters-unknown"],
        }
        assert faults_of(VllmVersion) == {key: [self.SWAPPED] for key in ["1.3", "1.4", "2.0", "2.1"]}

    @pytest.mark.parametrize(
        ("release", "text"),
        [
            (LmiVersion.V19, "only a newer release helps, from LMI 28 on; it needs 'inference_ami_version' "),
            (VllmVersion.V1_4, "only a newer release helps, from vLLM server 2.2 on; it needs 'inference_am"),
        ],
    )
    def test_warning_names_the_first_safe_release_and_what_it_needs(
        self, release: ContainerRelease, text: str
    ) -> None:
        (fault,) = release.known_faults
        assert text in fault.text
        assert f"{INFERENCE_AMI_FOR_CUDA_13}, and we have not run it on AWS" in fault.text
        assert fault.text.startswith(f"{release.title} may answer a request with another adapter's weights")

    def test_safe_release_on_cuda_12_needs_no_image_of_instances(self) -> None:
        _, streamed = LmiVersion.V17.known_faults
        assert streamed.text.endswith("; only a newer release helps, from LMI 18 on")


class TestEngine:
    @pytest.mark.parametrize(
        ("version", "rank_1", "biases", "experts", "embeddings", "by_name"),
        [
            ("0.10.2", False, True, False, False, False),
            ("0.11.1", True, False, True, False, True),
            ("0.12.0", True, False, True, True, True),
            ("1.0.0", True, False, True, True, True),
        ],
    )
    def test_what_the_engine_serves_came_and_went_with_its_versions(
        self,
        version: str,
        rank_1: bool,
        biases: bool,
        experts: bool,
        embeddings: bool,
        by_name: bool,
    ) -> None:
        engine = VllmEngine(version)
        assert (engine.serves_rank_1, engine.may_serve_biases) == (rank_1, biases)
        assert (engine.adapts_stacked_experts, engine.skips_embeddings) == (experts, embeddings)
        # A new version finds what its predecessor cached, unless each registration has a number of its own.
        assert engine.may_answer_for_predecessor is by_name

    @pytest.mark.parametrize(
        ("version", "adapted"),
        [
            ("0.14.0", {"llama", "mistral", "phi3"}),
            ("0.15.1", {"llama", "phi3"}),
            ("0.16.0", {"llama", "phi3", "qwen3"}),
        ],
    )
    def test_embedding_and_head_are_adapted_of_some_models(self, version: str, adapted: set[str]) -> None:
        engine = VllmEngine(version)
        assert {kind for kind in sorted(VOCABULARY_MODEL_TYPES) if engine.adapts_vocabulary(kind)} == adapted
        assert not engine.adapts_vocabulary("gemma2")
