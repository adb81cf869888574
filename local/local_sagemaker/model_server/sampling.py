"""Choosing the next token."""

from dataclasses import dataclass

import numpy as np

from local_sagemaker.model_server.tensors import Array


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The sampling settings of one request; temperature 0 is greedy, top_k 0 means all tokens."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None


class Sampler:
    """Chooses the tokens of one request: the same for the same seed, whatever else is in the batch."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self._random = np.random.default_rng(sampling.seed)

    def choose(self, logits: Array) -> int:
        """Return the next token."""
        if self.sampling.temperature == 0:
            return int(logits.argmax())
        order = np.argsort(-logits, kind="stable")
        if self.sampling.top_k:
            order = order[: self.sampling.top_k]
        scores = logits[order].astype(np.float64) / self.sampling.temperature
        probabilities = np.exp(scores - scores[0])
        probabilities /= probabilities.sum()
        # The smallest set of likeliest tokens whose share reaches top_p; never empty.
        kept = np.cumsum(probabilities) - probabilities < self.sampling.top_p
        kept[0] = True
        cumulated = np.cumsum(probabilities * kept)
        drawn = self._random.random() * cumulated[-1]
        return int(order[min(np.searchsorted(cumulated, drawn, side="right"), len(order) - 1)])


def log_probabilities(logits: Array) -> Array:
    """Return the natural logarithm of every token's probability at temperature 1."""
    shifted = logits - logits.max()
    result: Array = shifted - np.log(np.exp(shifted).sum())
    return result
