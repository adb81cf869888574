"""vLLM's rules for LoRA adapters, which change with its version."""

from collections.abc import Mapping
from dataclasses import dataclass

_Version = tuple[int, ...]

# vLLM 0.11.1 added rank 1 (MaxLoRARanks).
_FIRST_WITH_RANK_1: _Version = (0, 11, 1)
# vLLM 0.11.1 removed `enable_lora_bias`. Without it biases are refused.
_FIRST_WITHOUT_BIASES: _Version = (0, 11, 1)
# vLLM 0.11.1 has LoRA for stacked experts (FusedMoEWithLoRA), 0.12.0 skips the embeddings that PEFT saves
# beside an adapter (`is_base_embeddding_weights` in vllm/lora/utils.py); 0.10.2 and 0.11.1 refuse them.
_FIRST_WITH_STACKED_EXPERTS: _Version = (0, 11, 1)
_FIRST_SKIPPING_EMBEDDINGS: _Version = (0, 12)
# vLLM 0.11.1 puts the adapter's name into the key of a cached block instead of the number that each
# registration gets anew (#27211). From 0.31 on the key has the adapter's path as well. That changes nothing
# here: whether SageMaker keeps the path over an update in place is not known. Read in
# `_gen_lora_extra_hash_keys` of 0.11.1, 0.14.0, 0.20.1, 0.28.0, 0.30.0, 0.31.0 and 0.32.0.
_FIRST_KEYED_BY_NAME: _Version = (0, 11, 1)

_VOCABULARY: Mapping[str, tuple[_Version, _Version | None]] = {
    "llama": ((0,), None),
    "mistral": ((0,), (0, 15)),
    "phi3": ((0,), None),
    "qwen3": ((0, 16), None),
}
"""The first version whose engine has LoRA for the embedding and the output head, and the first without it.

By the model's type. The model's class lists them in `embedding_modules` (vllm/model_executor/models):
LlamaForCausalLM, of which Phi3ForCausalLM is one and which served Mistral as well up to 0.14, and
Qwen3ForCausalLM since 0.16 (#29816). Read in the sources of 0.10.2, 0.11.1, 0.12.0, 0.14.0, 0.15.1, 0.16.0,
0.17.0, 0.20.1, 0.26.0, 0.28.0 and 0.30.0. Qwen2, Gemma, Gemma 2 and Gemma 3 have none in any of
these. For Phi-3 and Gemma 3 six versions were read; the others are assumed to be alike.
"""

VOCABULARY_MODEL_TYPES = frozenset(_VOCABULARY)
"""The types of models for which some version has LoRA for the embedding and the output head."""


@dataclass(frozen=True)
class VllmEngine:
    """A version of vLLM from 0.10.2 on, such as 0.14.0."""

    version: str

    @property
    def serves_rank_1(self) -> bool:
        """True if 'max_lora_rank' may be 1."""
        return self._is_from(_FIRST_WITH_RANK_1)

    @property
    def may_serve_biases(self) -> bool:
        """True if the engine has a setting for adapters with biases."""
        return not self._is_from(_FIRST_WITHOUT_BIASES)

    @property
    def adapts_stacked_experts(self) -> bool:
        """True if the engine serves adapters with all experts of a mixture in one matrix."""
        return self._is_from(_FIRST_WITH_STACKED_EXPERTS)

    @property
    def skips_embeddings(self) -> bool:
        """True if the engine ignores whole embeddings of the base model in an adapter."""
        return self._is_from(_FIRST_SKIPPING_EMBEDDINGS)

    def adapts_vocabulary(self, model_type: str) -> bool:
        """Tell whether the engine has LoRA for the embedding and head of a type of model."""
        if model_type not in _VOCABULARY:
            return False
        first, first_without = _VOCABULARY[model_type]
        return self._is_from(first) and not (first_without and self._is_from(first_without))

    @property
    def may_answer_for_predecessor(self) -> bool:
        """True if an adapter's next version of the same name may find the prefixes that it cached."""
        return self._is_from(_FIRST_KEYED_BY_NAME)

    @property
    def numbers(self) -> _Version:
        """The version's numbers, to compare: (0, 14, 0) for 0.14.0."""
        return tuple(map(int, self.version.split(".")))

    def _is_from(self, first: _Version) -> bool:
        return self.numbers >= first
