"""The LMI container images (djl-inference): their tags, registries and settings for LoRA."""

import sys
from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import NamedTuple

from adapter_fleet.serving.lora_limits import LoraServing

LMI_REPOSITORY = "djl-inference"

_DEFAULT_REGISTRY_ACCOUNT = "763104351884"

LMI_REGISTRY_ACCOUNTS = {
    **dict.fromkeys(
        (
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-south-1",
            "ap-southeast-1",
            "ap-southeast-2",
            "ca-central-1",
            "eu-central-1",
            "eu-north-1",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
            "sa-east-1",
            "us-east-1",
            "us-east-2",
            "us-west-1",
            "us-west-2",
        ),
        _DEFAULT_REGISTRY_ACCOUNT,
    ),
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-east-2": "975050140332",
    "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452",
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ap-southeast-6": "633930458069",
    "ap-southeast-7": "590183813437",
    "ca-west-1": "204538143572",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-central-2": "380420809688",
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "eusc-de-east-1": "204133271717",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "mx-central-1": "637423239942",
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
}
"""The account whose ECR holds the image, by region (AWS's "Available Deep Learning Containers Images").

aws-cdk-lib's RegionInfo lacks nine of these regions, ca-west-1 and us-gov-west-1 among them.
"""


def registry_account(region: str) -> str | None:
    """Return the account that publishes LMI images in `region`; None if it is not known."""
    return LMI_REGISTRY_ACCOUNTS.get(region)


class LoraMode(StrEnum):
    """The inference loop of the container that serves the adapters."""

    LMI_DIST = "lmi-dist"
    """The container's own engine, until LMI 14."""
    ROLLING_BATCH = "vllm"
    """vLLM inside DJL's rolling batch: in LMI 15 the only loop with adapter code."""
    ASYNC = "async"
    """vLLM's own asynchronous engine, with adapters since LMI 16 and the default since 17."""


class KnownFault(NamedTuple):
    """A fault of an image: the id to acknowledge its warning by, and what happens."""

    id: str
    text: str


_FIRST_ASYNC = 16
_FIRST_ROLLING_BATCH = 15
# vLLM 0.8 added the ranks 320 and 512, vLLM 0.11.1 rank 1 (MaxLoRARanks).
_FIRST_WITH_RANKS_ABOVE_256 = 15
_FIRST_WITH_RANK_1 = 17
# vLLM 0.6.4 added `enable_lora_bias` (#5733), 0.11.1 removed it. Without it biases are refused.
_WITH_BIASES = range(15, 17)
# vLLM 0.11.1 has LoRA for stacked experts (FusedMoEWithLoRA), 0.12.0 skips the embeddings that PEFT saves
# beside an adapter (`is_base_embeddding_weights` in vllm/lora/utils.py); 0.10.2 and 0.11.1 refuse them.
_FIRST_WITH_STACKED_EXPERTS = 17
_FIRST_SKIPPING_EMBEDDINGS = 18

VOCABULARY_RELEASES: Mapping[str, range] = {
    "llama": range(sys.maxsize),
    "mistral": range(21),
    "phi3": range(sys.maxsize),
    "qwen3": range(20, sys.maxsize),
}
"""The releases whose engine has LoRA for the embedding and the output head, by the model's type.

The model's class lists them in `embedding_modules` (vllm/model_executor/models): LlamaForCausalLM, of which
Phi3ForCausalLM is one and which served Mistral as well up to 0.14, and Qwen3ForCausalLM since 0.16 (#29816).
Read in the sources of 0.8.4, 0.10.2, 0.11.1, 0.12.0, 0.14.0, 0.16.0, 0.17.0, 0.20.1 and 0.26.0. The source of
0.15.1 (LMI 20) was not read: it is assumed to have both. Qwen2, Gemma, Gemma 2 and Gemma 3 have none in any
of these. For Phi-3 and Gemma 3 two releases were read; the others are assumed to be alike.
"""


class LmiVersion(Enum):
    """A release of the LMI container. Each value is the image's tag and the version of vLLM in it.

    Example::

        LmiContainer(version=LmiVersion.V19)
    """

    V13 = ("0.31.0-lmi13.0.0-cu124", None)
    """The first with adapter components; it serves them with lmi-dist, not with vLLM."""
    V14 = ("0.32.0-lmi14.0.0-cu126", "0.6.3")
    V15 = ("0.33.0-lmi15.0.0-cu128", "0.8.4")
    V16 = ("0.34.0-lmi16.0.0-cu128", "0.10.2")
    V17 = ("0.35.0-lmi17.0.0-cu128", "0.11.1")
    V18 = ("0.36.0-lmi18.0.0-cu128", "0.12.0")
    V19 = ("0.36.0-lmi19.0.0-cu128", "0.14.0")
    """The image of AWS's newest public notebook on adapter components."""
    V20 = ("0.36.0-lmi20.0.0-cu128", "0.15.1")
    V21 = ("0.36.0-lmi21.0.0-cu129", "0.16.0")
    V22 = ("0.36.0-lmi22.0.0-cu129", "0.17.0")
    V23 = ("0.36.0-lmi23.0.0-cu129", "0.18.0")
    V24 = ("0.36.0-lmi24.0.0-cu129", "0.19.0")
    V25 = ("0.36.0-lmi25.0.0-cu130", "0.20.1")
    V26 = ("0.36.0-lmi26.0.0-cu130", "0.22.1")
    V27 = ("0.36.0-lmi27.0.0-cu130", "0.23.1")
    V28 = ("0.36.0-lmi28.0.0-cu130", "0.26.0")

    def __init__(self, tag: str, vllm_version: str | None) -> None:
        self.tag = tag
        self.vllm_version = vllm_version

    @classmethod
    def numbered(cls, number: int) -> "LmiVersion":
        """Return the release of that number; ValueError if it is not known."""
        versions = {version.number: version for version in cls}
        if number not in versions:
            raise ValueError(f"should be one of {', '.join(map(str, versions))}, got {number}")
        return versions[number]

    @property
    def number(self) -> int:
        """The release's number, 19 for `V19`."""
        return int(self.name.removeprefix("V"))

    @property
    def lora_mode(self) -> LoraMode:
        """The inference loop of this release that serves adapters."""
        if self.number >= _FIRST_ASYNC:
            return LoraMode.ASYNC
        return LoraMode.ROLLING_BATCH if self.number >= _FIRST_ROLLING_BATCH else LoraMode.LMI_DIST

    @property
    def highest_rank(self) -> int:
        """The highest 'max_lora_rank' of this release's engine."""
        return 512 if self.number >= _FIRST_WITH_RANKS_ABOVE_256 else 256

    @property
    def may_serve_biases(self) -> bool:
        """True if this release's engine has a setting for adapters with biases."""
        return self.number in _WITH_BIASES

    @property
    def adapts_stacked_experts(self) -> bool:
        """True if this release's engine serves adapters with all experts of a mixture in one matrix."""
        return self.number >= _FIRST_WITH_STACKED_EXPERTS

    @property
    def skips_embeddings(self) -> bool:
        """True if this release's engine ignores whole embeddings of the base model in an adapter."""
        return self.number >= _FIRST_SKIPPING_EMBEDDINGS

    def adapts_vocabulary(self, model_type: str) -> bool:
        """Tell whether this release's engine has LoRA for the embedding and head of a type of model."""
        return self.number in VOCABULARY_RELEASES.get(model_type, ())

    @property
    def known_faults(self) -> tuple[KnownFault, ...]:
        """Faults that a user of this release should know."""
        if self is LmiVersion.V16:
            return (
                KnownFault(
                    "lmi16-wrong-adapter",
                    "LMI 16 images from before 2025-11-19 can answer a request with another request's adapter"
                    " (djl-serving #2954, #2957, #2959); use LMI 17 or newer",
                ),
            )
        return ()

    def environment(self, lora: LoraServing) -> dict[str, str]:
        """Return the container's environment variables for `lora`.

        Raises ValueError if this release's engine does not support the rank.
        """
        self.check_rank(lora.max_lora_rank)
        match self.lora_mode:
            case LoraMode.ASYNC:
                environment = {
                    "OPTION_ASYNC_MODE": "true",
                    "OPTION_ROLLING_BATCH": "disable",
                    "OPTION_ENTRYPOINT": "djl_python.lmi_vllm.vllm_async_service",
                    # A base model that cannot start then fails at once, not after the health check's timeout.
                    "SERVING_FAIL_FAST": "true",
                }
            case LoraMode.ROLLING_BATCH | LoraMode.LMI_DIST as loop:
                environment = {"OPTION_ROLLING_BATCH": loop.value}
        environment |= {
            "OPTION_ENABLE_LORA": "true",
            "OPTION_MAX_LORAS": str(lora.max_loras),
            "OPTION_MAX_CPU_LORAS": str(lora.max_cpu_loras),
            "OPTION_MAX_LORA_RANK": str(lora.max_lora_rank),
        }
        if lora.lora_dtype is not None:
            environment["OPTION_LORA_DTYPE"] = lora.lora_dtype.value
        if lora.fully_sharded:
            environment["OPTION_FULLY_SHARDED_LORAS"] = "true"
        return environment

    def check_rank(self, rank: int) -> None:
        """Raise ValueError if this release's engine does not support the maximum rank."""
        if rank == 1 and self.number < _FIRST_WITH_RANK_1:
            raise ValueError(f"'max_lora_rank' should be at least 8 with LMI {self.number}, got {rank}")
        if rank > self.highest_rank:
            raise ValueError(
                f"'max_lora_rank' should be at most {self.highest_rank} with LMI {self.number}, got {rank}"
            )


NEWEST = tuple(LmiVersion)[-1]
"""The default release."""
