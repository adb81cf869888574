"""The prefix cache: attention keys and values of prompts' beginnings, for later prompts that begin alike.

[V vLLM] Blocks of 16 tokens are cached under the adapter and all tokens up to the block's end. From 0.11.1
on, the adapter is its name alone; newer releases add its path. A version that is registered under its
predecessor's name can then answer from its predecessor's attention: a mixed text, and no error.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeAlias

from local_sagemaker.model_server.llama import KeyValueCache
from local_sagemaker.model_server.memory_tiers import RegisteredAdapter
from local_sagemaker.model_server.tensors import Array

BLOCK_TOKENS = 16
CAPACITY_BYTES = 64 * 2**20

# The adapter, and the tokens from the prompt's beginning to the block's end.
BlockKey: TypeAlias = tuple[tuple[str, ...], tuple[int, ...]]


class AdapterKey(StrEnum):
    """What tells the blocks of one adapter from those of another."""

    NAME = "by_name"
    PATH = "by_path"


class PrefixCache:
    """Blocks by adapter and tokens; the least recently used block makes room. One thread owns it."""

    def __init__(self, adapter_key: AdapterKey, *, capacity: int = CAPACITY_BYTES) -> None:
        self._adapter_key = adapter_key
        self._capacity = capacity
        self._blocks: dict[BlockKey, tuple[Array, Array]] = {}
        self.size = 0
        """The bytes that are cached."""

    def restore(
        self, adapter: RegisteredAdapter | None, prompt: Sequence[int], cache: KeyValueCache, row: int
    ) -> int:
        """Copy the cached beginning of a prompt into a row, and return its length.

        The last token is never among it: its hidden state chooses the first token of the answer.
        """
        found: list[BlockKey] = []
        for key in self._keys(adapter, prompt[: len(prompt) - 1]):
            if key not in self._blocks:
                break
            cache.write(row, len(found) * BLOCK_TOKENS, *self._blocks[key])
            found.append(key)
        # The first block is used last, since the others are useless without it.
        for key in reversed(found):
            self._blocks[key] = self._blocks.pop(key)
        return len(found) * BLOCK_TOKENS

    def store(
        self, adapter: RegisteredAdapter | None, prompt: Sequence[int], cache: KeyValueCache, row: int
    ) -> None:
        """Keep the whole blocks of a prompt that a row holds."""
        for number, key in enumerate(self._keys(adapter, prompt)):
            if key not in self._blocks:
                start = number * BLOCK_TOKENS
                self._blocks[key] = block = cache.read(row, start, start + BLOCK_TOKENS)
                self.size += sum(array.nbytes for array in block)
        while self.size > self._capacity:
            oldest = next(iter(self._blocks))
            self.size -= sum(array.nbytes for array in self._blocks.pop(oldest))

    def _keys(self, adapter: RegisteredAdapter | None, tokens: Sequence[int]) -> list[BlockKey]:
        owner: tuple[str, ...] = ()
        if adapter is not None:
            owner = (adapter.name,)
            if self._adapter_key is AdapterKey.PATH:
                owner = (adapter.name, str(adapter.source))
        ends = range(BLOCK_TOKENS, len(tokens) + 1, BLOCK_TOKENS)
        return [(owner, tuple(tokens[:end])) for end in ends]
